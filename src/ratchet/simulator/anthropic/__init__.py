"""Anthropic's wire format: messages, token counts, models."""
