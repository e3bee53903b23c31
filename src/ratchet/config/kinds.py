"""Values that settings of several rooms hold: addresses and references to secrets."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, HttpUrl

from ratchet.config.problems import shaped

__all__ = ["Address", "OpenAddress", "SecretReference"]


def _plain(otherwise: str) -> AfterValidator:
    def check(value: HttpUrl) -> HttpUrl:
        if value.username or value.password or value.query or value.fragment:
            raise ValueError(f"give scheme, host, port and path only; {otherwise}")
        return value

    return AfterValidator(check)


def _by_reference(value: object) -> object:
    if isinstance(value, str) and not value.startswith("env:"):
        # The value itself must not be repeated in an error text or a log.
        raise ValueError('secrets are given by reference: "env:NAME_OF_A_VARIABLE"')
    return value


Address = Annotated[HttpUrl, _plain("a key belongs into api_key")]
"""Scheme, host, port and path, of what is shown a key."""

OpenAddress = Annotated[HttpUrl, _plain("no name, password or query is sent there")]
"""The same, of what is shown none."""

SecretReference = Annotated[
    str,
    shaped(
        r"env:[A-Za-z_][A-Za-z0-9_]*",
        "env: and the name of a variable, such as env:OPENAI_API_KEY",
    ),
    BeforeValidator(_by_reference),  # the last is the first
]
"""Where a secret is, never the secret itself."""
