"""Static files under addresses that carry a hash of their content, so that browsers may keep them for a year."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["STATIC_PREFIX", "Asset", "load_assets", "static_app"]

STATIC_PREFIX = "/static/"
_FOLDER = Path(__file__).with_name("static")
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
    assets: dict[str, Asset] = {}
    for path in sorted(_FOLDER.iterdir()):
        if path.suffix not in _TYPES:
            continue
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()[:12]
        assets[path.name] = Asset(
            url=f"{STATIC_PREFIX}{path.stem}.{digest}{path.suffix}",
            content=content,
            compressed=gzip.compress(content, mtime=0),
            content_type=_TYPES[path.suffix],
        )
    return assets


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
