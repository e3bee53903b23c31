"""Everything `ratchet.toml` can say."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, PrivateAttr, model_validator

from ratchet.app.paths import DataDir
from ratchet.app.taking_over import waiting
from ratchet.catalog.prices import PriceSettings
from ratchet.config import Address, ConfigFile, SecretReference, shaped
from ratchet.domain.prompts import DEFAULT_LABEL, LABEL
from ratchet.gateway.budgets.settings import BudgetSettings
from ratchet.gateway.limits.settings import LimitSettings
from ratchet.gateway.settings import GatewaySettings, Name, ProviderSettings, RouteSettings, TargetName
from ratchet.gateway.trust.settings import SegmentSettings, TrustSettings
from ratchet.store.settings import StoreSettings
from ratchet.telemetry.settings import TelemetrySettings

__all__ = [
    "EmbeddingSettings",
    "Settings",
    "SettingsFile",
    "StudioSettings",
    "config_file",
    "records_url",
    "spans_dsn",
]


class StudioSettings(BaseModel):
    """`[studio]`"""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    url: HttpUrl | None = None  # how people reach it, where a proxy stands in front
    protected_labels: list[Annotated[str, shaped(LABEL.pattern, "a label's name, such as production")]] = (
        Field(default_factory=lambda: [DEFAULT_LABEL])
    )  # of prompts: moving one takes an admin
    gateway_url: HttpUrl | None = None  # how apps reach the gateway; a studio started alone asks there too


class EmbeddingSettings(BaseModel):
    """`[embeddings]`: who makes vectors of texts. Without it the local model does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: Address | None = None  # ends before /embeddings
    model: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    api_key: SecretReference | None = None

    @model_validator(mode="after")
    def _whole(self) -> EmbeddingSettings:
        if (self.base_url is None) != (self.model is None):
            given, missing = ("model", "base_url") if self.base_url is None else ("base_url", "model")
            raise ValueError(f"{given} needs {missing}: an address, and the model that is asked there")
        if self.api_key is not None and self.base_url is None:
            raise ValueError("api_key needs base_url and model: the local embedder takes none")
        return self


class Settings(BaseModel):
    """The whole file. Providers that the environment implies are added; what the file says wins."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    providers: dict[Name, ProviderSettings] = Field(default_factory=dict[str, ProviderSettings])
    routes: dict[Name, RouteSettings] = Field(default_factory=dict[str, RouteSettings])
    limits: dict[Name, LimitSettings] = Field(default_factory=dict[str, LimitSettings])
    budgets: dict[Name, BudgetSettings] = Field(default_factory=dict[str, BudgetSettings])
    gateway: GatewaySettings = GatewaySettings()
    studio: StudioSettings = StudioSettings()
    store: StoreSettings = StoreSettings()
    embeddings: EmbeddingSettings = EmbeddingSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    segments: dict[Name, SegmentSettings] = Field(default_factory=dict[str, SegmentSettings])
    trust: TrustSettings = TrustSettings()
    prices: dict[TargetName, PriceSettings] = Field(default_factory=dict[str, PriceSettings])
    _implied: frozenset[str] = PrivateAttr(default=frozenset())

    @property
    def implied(self) -> frozenset[str]:
        """The providers that are there because of the environment, and that the file doesn't declare."""
        return self._implied

    def with_implied(self, environment: Mapping[str, str]) -> Settings:
        """With the providers whose well-known variable is set, and the simulator."""
        implied = implied_providers(environment)
        found = self.model_copy(update={"providers": {**implied, **self.providers}})
        found._implied = frozenset(implied.keys() - self.providers.keys())  # noqa: SLF001 - its own kind
        return found


def implied_providers(environment: Mapping[str, str]) -> dict[str, ProviderSettings]:
    """Providers that need no declaration."""
    implied = {"simulator": ProviderSettings(kind="simulator")}
    for kind in ("openai", "anthropic", "gemini"):
        variable = f"{kind.upper()}_API_KEY"
        if environment.get(variable):
            implied[kind] = ProviderSettings(kind=kind, api_key=f"env:{variable}")
    host = environment.get("OLLAMA_HOST", "").strip().rstrip("/")
    if host:
        address = host if "://" in host else f"http://{host}"
        if urlsplit(address).port is None:
            address += ":11434"  # Ollama's own default
        implied["ollama"] = ProviderSettings(kind="openai", base_url=HttpUrl(f"{address}/v1"))
    return implied


class SettingsFile(ConfigFile[Settings]):
    """The settings file, read with what the environment implies."""

    def __init__(self, path: Path, environment: Mapping[str, str], *, copy: Path | None = None) -> None:
        super().__init__(path, Settings, environment, copy=copy)
        self._implied_by = environment
        self._first: Settings | None = None
        self._last: Settings | None = None

    def read(self) -> Settings:
        found = super().read().with_implied(self._implied_by)
        self._first, self._last = self._first or found, found
        return found

    def read_after_restart(self) -> Settings:
        found = super().read_after_restart()
        self._first = self._last = found
        return found

    def waiting(self) -> list[str]:
        """What waits for a restart: names of settings that were read first as something else than last."""
        return waiting(self._last, self._first) if self._first and self._last else []

    def last_good(self) -> Settings | None:
        kept = super().last_good()
        return None if kept is None else kept.with_implied(self._implied_by)


def config_file(
    path: Path, environment: Mapping[str, str] = os.environ, *, copy: Path | None = None
) -> SettingsFile:
    """The settings at `path`, which may be missing; `copy` is where the last good ones are kept for a restart."""
    return SettingsFile(path, environment, copy=copy)


def records_url(settings: Settings, data: DataDir) -> str:
    return settings.store.records or f"sqlite:///{data.root / 'records.db'}"


def spans_dsn(settings: Settings, data: DataDir) -> str:
    return settings.store.spans or f"chdb://{data.root / 'spans'}"
