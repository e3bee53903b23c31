"""Secrets that ratchet hands out: random, shown once, kept as a hash.

They carry at least 190 random bits, so a plain SHA-256 is enough: nothing can be guessed that a slow hash would
protect. Passwords, which people choose, are hashed with Argon2id instead.
"""

from __future__ import annotations

import hashlib
import secrets
import string

__all__ = ["hash_secret", "new_id", "new_secret"]

_ALPHABET = string.ascii_letters + string.digits
_LENGTH = 40


def new_secret(prefix: str) -> str:
    """`prefix` and 40 random letters and digits."""
    return prefix + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def new_id() -> str:
    """32 random hex digits."""
    return secrets.token_hex(16)


def hash_secret(secret: str) -> str:
    """SHA-256, as 64 hex digits."""
    return hashlib.sha256(secret.encode()).hexdigest()
