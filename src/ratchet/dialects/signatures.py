"""A provider's proof of a thought or a call, on its way through an app that speaks another dialect.

The proof goes to the app as `<dialect>:<proof>`, and comes back so with the conversation's next turn. Untagged, it is
the app's own dialect's.
"""

from __future__ import annotations

__all__ = ["tagged", "untagged"]

_SIGNING = ("anthropic", "gemini", "openai_responses", "openai_chat")


def tagged(signature: str, origin: str | None, dialect: str) -> str:
    """The proof as an app of `dialect` is to be given it."""
    return signature if origin is None or origin == dialect else f"{origin}:{signature}"


def untagged(text: str, dialect: str) -> tuple[str, str]:
    """(proof, dialect whose models can check it) of what an app or a provider of `dialect` sent."""
    origin, colon, signature = text.partition(":")
    if colon and origin != dialect and origin in _SIGNING:
        return signature, origin
    return text, dialect
