"""Values that settings of several rooms hold: addresses and references to secrets."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, HttpUrl

from ratchet.config.problems import shaped

__all__ = ["Address", "SecretReference"]


def _plain(value: HttpUrl) -> HttpUrl:
    if value.username or value.password or value.query or value.fragment:
        raise ValueError("give scheme, host, port and path only; a key belongs into api_key")
    return value


def _by_reference(value: object) -> object:
    if isinstance(value, str) and not value.startswith("env:"):
        # The value itself must not be repeated in an error text or a log.
        raise ValueError('secrets are given by reference: "env:NAME_OF_A_VARIABLE"')
    return value


Address = Annotated[HttpUrl, AfterValidator(_plain)]
"""Scheme, host, port and path."""

SecretReference = Annotated[
    str,
    BeforeValidator(_by_reference),
    shaped(
        r"env:[A-Za-z_][A-Za-z0-9_]*",
        "env: and the name of a variable, such as env:OPENAI_API_KEY",
    ),
]
"""Where a secret is, never the secret itself."""
