"""Where a page comes from, as browsers write it in the header `Origin` (RFC 6454). Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

from ratchet.errors import InvalidRequest

__all__ = ["origin_of"]

_PORTS = {"https": 443, "http": 80}
_LOCAL = ("localhost", "127.0.0.1", "::1")


def origin_of(text: str) -> str:
    """`text` as a browser writes that origin: `https://app.example.org`. Raises InvalidRequest for anything else."""
    written = text.strip()
    try:
        parts = urlsplit(written)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _unfit(text, "it is no address") from None
    if parts.scheme not in _PORTS or not host or "*" in host:
        raise _unfit(text, "it is no address of a website")
    if parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise _unfit(text, "an origin ends with the host or the port")
    if parts.scheme == "http" and host not in _LOCAL and not host.endswith(".localhost"):
        raise _unfit(text, "whoever is on the way could change a page that comes over http")
    try:
        host = host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError:
        raise _unfit(text, "its host can't be written in ASCII") from None
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{port}" if port not in (None, _PORTS[parts.scheme]) else "")


def _unfit(text: str, why: str) -> InvalidRequest:
    return InvalidRequest(
        f"{text!r} can't be an origin: {why}.",
        "Give scheme and host, and a port where it isn't the usual one: https://app.example.org or "
        "http://localhost:3000.",
        param="origins",
    )
