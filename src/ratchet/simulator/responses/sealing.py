"""Encrypted reasoning: thoughts that only this service can read, and that it recognises when they come back.

They are masked and carry a keyed digest (BLAKE2b); the key is no secret.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import blake2b

from ratchet.simulator.dice import Dice

__all__ = ["sealed", "unsealed"]

_KEY = b"simulated openai reasoning"
_HEAD = b"\x80\x00\x00\x00\x00"
_NONCE, _DIGEST = 16, 32


def sealed(text: str, dice: Dice) -> str:
    """The content that stands for a thought."""
    nonce = dice.integer("seal").to_bytes(8, "big") + dice.integer("seal 2").to_bytes(8, "big")
    data = text.encode()
    return urlsafe_b64encode(_HEAD + nonce + _digest(nonce, data) + _masked(nonce, data)).decode()


def unsealed(given: str) -> str | None:
    """The thought, or None when the content is not this service's, or was changed."""
    try:
        found = urlsafe_b64decode(given)
    except (binascii.Error, ValueError):
        return None
    rest = found.removeprefix(_HEAD)
    nonce, digest, masked = rest[:_NONCE], rest[_NONCE : _NONCE + _DIGEST], rest[_NONCE + _DIGEST :]
    data = _masked(nonce, masked)
    return data.decode() if found.startswith(_HEAD) and digest == _digest(nonce, data) else None


def _digest(nonce: bytes, data: bytes) -> bytes:
    return blake2b(nonce + data, digest_size=_DIGEST, key=_KEY).digest()


def _masked(nonce: bytes, data: bytes) -> bytes:
    mask = b"".join(
        blake2b(nonce + i.to_bytes(4, "big"), digest_size=64, key=_KEY).digest()
        for i in range(len(data) // 64 + 1)
    )
    return bytes(a ^ b for a, b in zip(data, mask, strict=False))
