"""Pictures and documents inside a text: `data:` URLs (RFC 2397), as far as they are base64."""

from __future__ import annotations

__all__ = ["data_url", "parsed_data_url"]


def parsed_data_url(url: str) -> tuple[str, str] | None:
    """(media type, base64 content) of a `data:` URL; None where it is another URL or not base64."""
    if not url.startswith("data:"):
        return None
    head, comma, content = url.partition(",")
    return (head[5:-7], content) if comma and head.endswith(";base64") else None


def data_url(mime_type: str | None, content: str) -> str:
    """`content` is base64."""
    return f"data:{mime_type or ''};base64,{content}"
