"""What tells one vendor's API from another's: addresses, credentials, and which dialect it speaks where."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from ratchet.dialects.dialect import Dialect
from ratchet.gateway.settings import ProviderSettings

__all__ = ["Kind", "Wire", "bearer", "fixed", "without_version"]


@dataclasses.dataclass(frozen=True, slots=True)
class Wire:
    """A dialect at an address. `path` gives it, below the provider's base, for a model and for streamed or not."""

    dialect: Dialect
    path: Callable[[str, bool], str]


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """One vendor's API. `wires` names, for each dialect that an app may speak, the one that this vendor is spoken to
    in: the same where it knows that, another where a translation is needed, none where nothing will do."""

    wires: Callable[[ProviderSettings], Mapping[str, Wire]]
    credential: Callable[[str], str]  # secret → header line
    models: str  # the path, below the base, that lists what the account may use
    base_url: str = ""  # where settings name none
    root: Callable[[str], str] = str  # the base that paths stand below, from the address in the settings
    label: str = ""  # gen_ai.provider.name; "" for the provider's own name
    defaults: tuple[tuple[bytes, bytes], ...] = ()  # header lines, where the app sends none of that name
    passed_on: tuple[bytes, ...] = ()  # headers of the app's that the vendor may see


def fixed(path: str) -> Callable[[str, bool], str]:
    """A path that is the same for every model."""
    return lambda _model, _stream: path


def without_version(base_url: str) -> str:
    """`base_url` less a closing `/v1`: people write it either way."""
    return base_url.removesuffix("/v1")


def bearer(secret: str) -> str:
    return f"authorization: Bearer {secret}"
