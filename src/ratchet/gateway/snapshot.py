"""What a gateway knows while it serves: immutable, and swapped whole when something changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from ratchet.catalog.prices import PriceBook
from ratchet.domain.access import Key
from ratchet.gateway.identity import Network
from ratchet.gateway.promptbook import PromptBook
from ratchet.gateway.providers import Provider

__all__ = ["Route", "Snapshot", "Step", "Target", "keys_by_digest"]

# Takes the Exchange, which is made from a snapshot and so can't be named here.
Step = Callable[[Any], Awaitable[None]]


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """One provider and a model there."""

    provider: Provider
    model: str

    @property
    def name(self) -> str:
        return f"{self.provider.name}/{self.model}"


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """What an app's `model` means: targets in order, and the steps its requests take."""

    name: str
    targets: tuple[Target, ...]
    steps: tuple[Step, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """Keys by the SHA-256 of their secret, so that a look-up tells an attacker's clock nothing about any secret."""

    keys: Mapping[bytes, Key]
    routes: Mapping[str, Route]
    providers: Mapping[str, Provider]
    prompts: PromptBook
    prices: PriceBook
    steps: tuple[Step, ...]  # for a model named `provider/model`, which no route declares
    max_body_bytes: int
    keep_content: bool
    origins: frozenset[bytes] = frozenset()  # of all publishable keys
    trusted_proxies: tuple[Network, ...] = ()
    revision: int = -1  # of the records it was made from; -1 where they have never been read
    settings_refused: bool = False  # whether something newer can't be used


def keys_by_digest(keys: Iterable[Key]) -> dict[bytes, Key]:
    return {bytes.fromhex(key.secret_hash): key for key in keys}
