"""What kind of thing a picture, sound, film or document is, told by its MIME type, its name or its first bytes."""

from __future__ import annotations

import re

__all__ = ["file_type", "modality_of", "picture_type"]

_TYPES = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "bmp": "image/bmp",
    "svg": "image/svg+xml",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "aac": "audio/aac",
    "ogg": "audio/ogg",
    "flac": "audio/flac",
    "m4a": "audio/mp4",
    "mp4": "video/mp4",
    "mpeg": "video/mpeg",
    "mov": "video/quicktime",
    "webm": "video/webm",
    "mkv": "video/x-matroska",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "html": "text/html",
    "css": "text/css",
    "csv": "text/csv",
    "xml": "text/xml",
    "rtf": "text/rtf",
    "json": "application/json",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_BEGINNINGS = {  # of the base64 text
    "iVBORw0KGgo": "image/png",
    "/9j/": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
    "JVBERi0": "application/pdf",
}
_ENDING = re.compile(r"\.([A-Za-z0-9]{2,5})(?:[?#]|$)")
_YOUTUBE = re.compile(r"https?://(?:www\.|m\.)?(?:youtube\.com|youtu\.be)/")


def modality_of(mime: str | None, uri: str) -> str:
    """image, audio, video or document."""
    kind = (mime or file_type(uri) or "").partition("/")[0]
    return kind if kind in ("image", "audio", "video") else "document"


def file_type(uri: str) -> str | None:
    """The MIME type that a file's name tells; None where it does not (the provider then asks the server)."""
    if _YOUTUBE.match(uri):
        return "video/mp4"
    ending = _ENDING.search(uri)
    return _TYPES.get(ending[1].lower()) if ending else None


def picture_type(data: str) -> str | None:
    """The MIME type that the beginning of base64 data tells; None where it does not."""
    return next((kind for beginning, kind in _BEGINNINGS.items() if data.startswith(beginning)), None)
