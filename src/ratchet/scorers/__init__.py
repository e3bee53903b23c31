"""Scorers: functions from a case and its output to verdicts. Pure: what asks a model or embeds a text is handed in."""
