"""Why an answer ended, in Anthropic's words and in the message form's."""

from __future__ import annotations

__all__ = ["finish_reason", "stop_reason"]

_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "compaction": "stop",
    "tool_use": "tool_call",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}
_WORDS = {
    "stop": "end_turn",
    "tool_call": "tool_use",
    "length": "max_tokens",
    "content_filter": "refusal",
    # Anthropic has no word for an answer that went wrong. To an app, a refusal is the nearest: nothing to be used.
    "error": "refusal",
}


def finish_reason(word: str) -> str:
    """The message form's word; `stop` for one that is not known, since the answer is whole."""
    return _REASONS.get(word, "stop")


def stop_reason(reason: str | None) -> str | None:
    """Anthropic's word; None where nothing was said."""
    return None if not reason else _WORDS.get(reason, "end_turn")
