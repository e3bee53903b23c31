"""What a gateway knows while it serves: immutable, and swapped whole when something changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any

from ratchet.catalog.prices import PriceBook
from ratchet.domain.access import Key
from ratchet.gateway.caller import Network
from ratchet.gateway.promptbook import PromptBook
from ratchet.gateway.providers import Provider
from ratchet.gateway.upstream.circuits import Circuit, Pace
from ratchet.gateway.upstream.health import Health
from ratchet.gateway.upstream.queueing import FairQueue

__all__ = ["Route", "Snapshot", "Step", "Target", "keys_by_digest"]

# Takes the Exchange, which is made from a snapshot and so can't be named here.
Step = Callable[[Any], Awaitable[None]]


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """One provider and a model there, with what a route says of them. Times are seconds.

    `first_token`, `stall` and `total` are how long a request may wait: for the first content of a stream, between two
    pieces of it, and for everything. `price` is what a million tokens in and a quarter of that out cost, to compare by.
    """

    provider: Provider
    model: str
    name: str  # provider/model
    circuits: tuple[Circuit, ...]  # one for each of the provider's credentials
    pace: Pace
    queue: FairQueue | None = None
    weight: float = 1.0
    connect: float = 5.0
    first_token: float | None = None
    stall: float | None = None
    total: float = 600.0
    context_window: int | None = None
    price: Decimal | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """What an app's `model` means: its targets, how they are asked, and the steps its requests take.

    `commit`: how much of a stream has to be there before the app gets any of it: so many pieces of content, or 0 for
    the whole.
    """

    name: str
    targets: tuple[Target, ...]
    steps: tuple[Step, ...]
    choose: str = "ordered"
    sticky: bool = False
    attempts: int = 4
    timeout: float = 600.0  # seconds, for everything together
    hedge: bool = False
    commit: int = 1
    around_refusals: bool = False
    priority: int = 1
    by_price: tuple[Target, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """Keys by the SHA-256 of their secret, so that a look-up tells an attacker's clock nothing about any secret."""

    keys: Mapping[bytes, Key]
    routes: Mapping[str, Route]
    providers: Mapping[str, Provider]
    prompts: PromptBook
    prices: PriceBook
    steps: tuple[Step, ...]  # for a model named `provider/model`, which no route declares
    choices: Mapping[str, tuple[Step, ...]]  # for a tool to be chosen; by route, "" for any other model
    max_body_bytes: int
    keep_content: bool
    health: Health
    admission: tuple[Step, ...] = ()  # for every request, before its route is looked for
    stand: Step | None = None  # the one of them that turns the blocked away
    look: Step | None = None  # only looks how far a caller is trusted
    trust_half_life: int = 7 * 86_400 * 10**9  # nanoseconds
    origins: frozenset[bytes] = frozenset()  # of all publishable keys
    trusted_proxies: tuple[Network, ...] = ()
    keep_alive: float = 15.0  # seconds
    revision: int = -1  # of the records it was made from; -1 where they have never been read
    settings_refused: bool = False  # whether something newer can't be used


def keys_by_digest(keys: Iterable[Key]) -> dict[bytes, Key]:
    return {bytes.fromhex(key.secret_hash): key for key in keys}
