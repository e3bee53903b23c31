"""What the commands that declare share: settings on the command line, and what is shown of a declaration."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from ratchet.errors import InvalidRequest

__all__ = ["PLACES", "path_of", "settings_of"]

PLACES = {"file": "ratchet.toml", "studio": "studio", "environment": "environment"}


def settings_of(pairs: Sequence[str], named: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that options give: `named` ones that were given, and `KEY=VALUE` pairs, whose values are read as
    TOML writes them and as text otherwise. Raises InvalidRequest."""
    settings = {name: value for name, value in named.items() if value}
    for pair in pairs:
        key, sign, text = pair.partition("=")
        if not sign or not key.strip():
            raise InvalidRequest(f"{pair!r} is no setting.", "Write it as KEY=VALUE, such as timeout=30.")
        settings[key.strip()] = _value(text.strip())
    return settings


def path_of(nouns: str, name: str, verb: str = "") -> str:
    return f"/api/{nouns}/{quote(name, safe='')}{verb}"


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
