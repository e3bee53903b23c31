"""Settings: a file, the environment, and mistakes in them told in plain words. Knows no room: models are handed in."""

from __future__ import annotations

from ratchet.config.file import ConfigFile
from ratchet.config.kinds import Address, OpenAddress, SecretReference
from ratchet.config.problems import (
    Problem,
    describe_problems,
    expectation,
    problems_of,
    shaped,
    without_password,
)

__all__ = [
    "Address",
    "ConfigFile",
    "OpenAddress",
    "Problem",
    "SecretReference",
    "describe_problems",
    "expectation",
    "problems_of",
    "shaped",
    "without_password",
]
