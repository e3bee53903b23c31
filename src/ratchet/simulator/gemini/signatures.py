"""Signatures of thoughts. They say no more than that this service wrote them, and for which function if for any.

The key is no secret; it only keeps the simulator's signatures apart from everybody else's.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode, urlsafe_b64decode
from hashlib import blake2b

from ratchet.simulator.dice import Dice

__all__ = ["BYPASSES", "signature", "signed"]

_KEY = b"simulated gemini thoughts"
_HEAD = b"\x12\xa0\x01\x0a\x9d\x01"
_NONCE = 8
# What the documentation names for conversations that were begun with another model.
BYPASSES = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")


def signature(function: str, dice: Dice) -> str:
    """A signature for a call of `function`, or for text when that is empty."""
    nonce = dice.integer("nonce").to_bytes(_NONCE, "big")
    return b64encode(_HEAD + nonce + _digest(nonce, function)).decode()


def signed(function: str, given: str) -> bool:
    """Whether `given` is this service's signature for a call of `function` (or for text), or a bypass."""
    if given in BYPASSES:
        return True
    try:
        padded = given + "=" * (-len(given) % 4)
        found = (
            urlsafe_b64decode(padded) if "-" in given or "_" in given else b64decode(padded, validate=True)
        )
    except (binascii.Error, ValueError):
        return False
    if found.decode("latin-1") in BYPASSES:
        return True
    rest = found.removeprefix(_HEAD)
    nonce, digest = rest[:_NONCE], rest[_NONCE:]
    return found.startswith(_HEAD) and digest == _digest(nonce, function)


def _digest(nonce: bytes, function: str) -> bytes:
    return blake2b(nonce + function.encode(), digest_size=64, key=_KEY).digest()
