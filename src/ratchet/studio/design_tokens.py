"""The design system's tokens, read from the stylesheet itself, so that the page and the tests show what is in force."""

from __future__ import annotations

import re

import msgspec

from ratchet.studio.assets import STYLES

__all__ = ["ColourToken", "Tokens", "contrast", "read_tokens"]

_STYLESHEET = STYLES / "tokens.css"
_COLOUR = re.compile(r"--([\w-]+):\s*light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);")
_PLAIN = re.compile(r"^\s*--([\w-]+):\s*([^;]+);$", re.MULTILINE)


class ColourToken(msgspec.Struct, frozen=True):
    name: str
    light: str
    dark: str


class Tokens(msgspec.Struct, frozen=True):
    colours: list[ColourToken]
    others: list[tuple[str, str]]  # space, type and the rest


def read_tokens() -> Tokens:
    """Every token declared on `:root`."""
    text = _STYLESHEET.read_text()
    root = text[text.index(":root {") : text.index("\n}")]
    colours = [ColourToken(*match.groups()) for match in _COLOUR.finditer(root)]
    names = {colour.name for colour in colours}
    others = [(name, value) for name, value in _PLAIN.findall(root) if name not in names]
    return Tokens(colours=colours, others=others)


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two `#rrggbb` colours, 1 to 21 (WCAG 2.2, "contrast ratio")."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    channels = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
