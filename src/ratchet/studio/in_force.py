"""What the settings say and where it comes from, as the studio is told it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from ratchet.catalog.prices import PriceSettings
from ratchet.errors import RatchetError
from ratchet.gateway.budgets.settings import BudgetSettings
from ratchet.gateway.limits.settings import LimitSettings
from ratchet.gateway.loading.merging import Sections
from ratchet.gateway.settings import GatewaySettings, ProviderSettings, RouteSettings
from ratchet.gateway.trust.settings import SegmentSettings, TrustSettings

__all__ = ["InForce", "Installation", "Setting", "Stored"]


@dataclass(frozen=True)
class _Nothing:
    """Settings that declare nothing."""

    providers: Mapping[str, ProviderSettings] = field(default_factory=dict[str, ProviderSettings])
    routes: Mapping[str, RouteSettings] = field(default_factory=dict[str, RouteSettings])
    limits: Mapping[str, LimitSettings] = field(default_factory=dict[str, LimitSettings])
    budgets: Mapping[str, BudgetSettings] = field(default_factory=dict[str, BudgetSettings])
    segments: Mapping[str, SegmentSettings] = field(default_factory=dict[str, SegmentSettings])
    trust: TrustSettings = field(default_factory=TrustSettings)
    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    prices: Mapping[str, PriceSettings] = field(default_factory=dict[str, PriceSettings])
    implied: frozenset[str] = frozenset()


class Setting(msgspec.Struct, frozen=True):
    """One key of the settings, as text that holds no secret.

    `source` is "default", "file", or the name of a variable. `waits` says that the value is new and that a restart
    brings it into force.
    """

    key: str
    value: str
    source: str
    waits: bool = False


@dataclass(frozen=True)
class InForce:
    """The last good settings. `problem` tells why the file as it is now is not among them.

    `variables` are the names (never the values) of what is set in this process's environment.
    """

    file: Sections = field(default_factory=_Nothing)
    path: str = "ratchet.toml"
    exists: bool = False
    problem: RatchetError | None = None
    settings: tuple[Setting, ...] = ()
    variables: frozenset[str] = frozenset()


class Stored(msgspec.Struct, frozen=True):
    """One place where things are kept: what, where (no password in it), how large (None: not known here)."""

    what: str
    where: str
    bytes: int | None


class Installation(msgspec.Struct, frozen=True):
    """What this process runs on."""

    data_dir: str = ""
    stored: tuple[Stored, ...] = ()
    versions: tuple[tuple[str, str], ...] = ()
