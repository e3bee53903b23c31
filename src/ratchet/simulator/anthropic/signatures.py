"""Signatures of thoughts: only what this service wrote comes back to it unchanged.

A signature is base64 of a header, a nonce and a keyed digest (BLAKE2b) of nonce and text. The key is no secret; it
only keeps the simulator's signatures apart from everybody else's.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from hashlib import blake2b

from ratchet.simulator.dice import Dice

__all__ = ["sealed", "signature", "signed", "unsealed"]

_KEY = b"simulated anthropic thoughts"
_HEAD = b"\x12\x48\x0a\x46\x08\x07\x18\x02"
_NONCE = 8


def signature(text: str, dice: Dice) -> str:
    """The signature of a thought."""
    nonce = dice.integer("nonce").to_bytes(_NONCE, "big")
    return b64encode(_HEAD + nonce + _digest(nonce, text.encode())).decode()


def signed(text: str, given: str) -> bool:
    """Whether `given` is a signature of exactly this text."""
    found = _decoded(given)
    if found is None:
        return False
    nonce, rest = found[:_NONCE], found[_NONCE:]
    return rest == _digest(nonce, text.encode())


def sealed(text: str, dice: Dice) -> str:
    """A thought that nobody but this service can read: a redacted one. (It is masked, not encrypted.)"""
    nonce = dice.integer("nonce").to_bytes(_NONCE, "big")
    data = text.encode()
    return b64encode(_HEAD + nonce + _digest(nonce, data) + _masked(nonce, data)).decode()


def unsealed(given: str) -> str | None:
    """The thought in a seal, or None when it is not one of this service's, or was changed."""
    found = _decoded(given)
    if found is None:
        return None
    nonce, digest, rest = found[:_NONCE], found[_NONCE : _NONCE + 64], found[_NONCE + 64 :]
    data = _masked(nonce, rest)
    return data.decode() if digest == _digest(nonce, data) else None


def _decoded(given: str) -> bytes | None:
    try:
        found = b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        return None
    return found.removeprefix(_HEAD) if found.startswith(_HEAD) else None


def _digest(nonce: bytes, data: bytes) -> bytes:
    return blake2b(nonce + data, digest_size=64, key=_KEY).digest()


def _masked(nonce: bytes, data: bytes) -> bytes:
    mask = b"".join(
        blake2b(nonce + i.to_bytes(4, "big"), digest_size=64, key=_KEY).digest()
        for i in range(len(data) // 64 + 1)
    )
    return bytes(a ^ b for a, b in zip(data, mask, strict=False))
