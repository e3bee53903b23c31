"""Whose answers no cache may hold any longer. Pure."""

from __future__ import annotations

import hashlib

import msgspec

__all__ = ["Forgotten", "name_hash"]


class Forgotten(msgspec.Struct, frozen=True):
    """Everything that caches kept of somebody up to `time`, in nanoseconds since the epoch, is to be gone.

    Who it is stands here as a hash alone: a list of those who asked to be forgotten should not name them.
    """

    project_id: str
    name_hash: str
    time: int


def name_hash(project_id: str, name: str) -> str:
    """Of a user's name, or whatever else stands for whoever asks, in one project: 32 hex digits."""
    return hashlib.sha256(f"{project_id}\n{name}".encode()).hexdigest()[:32]
