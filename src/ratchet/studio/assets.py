"""Static files under addresses that carry a hash of their content, so that browsers may keep them for a year.

The stylesheet and the script are written in parts, `static/styles/*.css` and `static/scripts/*.js`, and served as one
file each: no part costs a request of its own.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["STATIC_PREFIX", "STYLES", "Asset", "load_assets", "static_app"]

STATIC_PREFIX = "/static/"
_FOLDER = Path(__file__).with_name("static")
STYLES = _FOLDER / "styles"
_SCRIPTS = _FOLDER / "scripts"
# Later rules win over earlier ones: what is general comes first. Every other part follows in alphabetical order.
_STYLES_FIRST = ("tokens", "ground", "controls", "pieces", "frame", "list")
_SCRIPTS_FIRST = ("dom",)
_SCRIPTS_LAST = ("start",)
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


class Asset(msgspec.Struct, frozen=True):
    """One static file, held in memory, plain and compressed."""

    url: str
    content: bytes
    compressed: bytes
    content_type: str


def load_assets() -> dict[str, Asset]:
    """Every static file by its plain name, e.g. `studio.css`."""
    contents = {path.name: path.read_bytes() for path in _FOLDER.iterdir() if path.suffix in _TYPES}
    contents["studio.css"] = _joined(_parts(STYLES, first=_STYLES_FIRST))
    script = _joined(_parts(_SCRIPTS, first=_SCRIPTS_FIRST, last=_SCRIPTS_LAST))
    # One function around all parts: they see each other's names, and no page does.
    contents["studio.js"] = b'(() => {\n"use strict";\n' + script + b"})();\n"
    return {name: _asset(Path(name), content) for name, content in sorted(contents.items())}


def _asset(name: Path, content: bytes) -> Asset:
    digest = hashlib.sha256(content).hexdigest()[:12]
    return Asset(
        url=f"{STATIC_PREFIX}{name.stem}.{digest}{name.suffix}",
        content=content,
        compressed=gzip.compress(content, mtime=0),
        content_type=_TYPES[name.suffix],
    )


def _parts(folder: Path, *, first: Sequence[str], last: Sequence[str] = ()) -> list[Path]:
    def place(path: Path) -> tuple[int, str]:
        if path.stem in first:
            return first.index(path.stem), ""
        return len(first) + (path.stem in last), path.stem

    return sorted((path for path in folder.iterdir() if path.suffix in _TYPES), key=place)


def _joined(parts: Sequence[Path]) -> bytes:
    return b"\n".join(part.read_bytes() for part in parts)


def static_app(assets: Mapping[str, Asset]) -> ASGIApp:
    """Serves the assets at their hashed addresses and nothing else."""
    by_url = {asset.url: asset for asset in assets.values()}

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        asset = by_url.get(scope["path"])
        if asset is None or scope["method"] not in ("GET", "HEAD"):
            await Response("Not found\n", status_code=404, media_type="text/plain")(scope, receive, send)
            return
        headers = {
            "cache-control": "public, max-age=31536000, immutable",
            "content-type": asset.content_type,
            "vary": "accept-encoding",
        }
        accepts = next((value for name, value in scope["headers"] if name == b"accept-encoding"), b"")
        content = asset.content
        if b"gzip" in accepts:
            content = asset.compressed
            headers["content-encoding"] = "gzip"
        await Response(content, headers=headers)(scope, receive, send)

    return serve
