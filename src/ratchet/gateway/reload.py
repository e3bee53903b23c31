"""Keeping the snapshot current: the records and the settings file are looked at twice a second, in a thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from ratchet.catalog.prices import PriceBook, PriceSettings
from ratchet.domain.access import Key
from ratchet.errors import Misconfigured, RatchetError, Unavailable
from ratchet.gateway.pipeline import STEPS
from ratchet.gateway.providers import ProviderPool
from ratchet.gateway.remembered import load_keys, save_keys
from ratchet.gateway.settings import GatewaySettings, ProviderSettings, RouteSettings
from ratchet.gateway.snapshot import Route, Snapshot, Target, keys_by_digest
from ratchet.store.records import Records
from ratchet.store.records.keys import GATEWAY_TOPIC, live_keys

__all__ = ["Reloader", "Sections", "SettingsSource", "build_snapshot"]

log = logging.getLogger("ratchet.gateway")
_INTERVAL = 0.5  # seconds: half of what a revocation may take


class Sections(Protocol):
    """The parts of the settings that a gateway reads."""

    @property
    def providers(self) -> Mapping[str, ProviderSettings]: ...
    @property
    def routes(self) -> Mapping[str, RouteSettings]: ...
    @property
    def gateway(self) -> GatewaySettings: ...
    @property
    def prices(self) -> Mapping[str, PriceSettings]: ...


class SettingsSource(Protocol):
    """Reads settings, and knows when there is something new to read."""

    def read(self) -> Sections: ...
    def changed(self) -> bool: ...


class Reloader:
    """Builds snapshots. After `start`, `follow` swaps a new one in whenever something has changed."""

    def __init__(
        self,
        settings: SettingsSource,
        records: Records,
        remembered: Path,
        pool: ProviderPool,
        simulator_url: str,
    ) -> None:
        self._settings = settings
        self._records = records
        self._remembered = remembered
        self._pool = pool
        self._simulator_url = simulator_url
        self._revision = -1
        self._records_down = False
        self._sections: Sections | None = None
        self._keys: list[Key] = []

    def start(self, sections: Sections) -> Snapshot:
        """The first snapshot, from settings just read. Raises Misconfigured where they can't be used."""
        self._sections = sections
        self._look_at_records()
        if self._records_down:
            remembered = load_keys(self._remembered)
            if remembered is not None:
                log.warning("serving with the %d keys known when the records were last up", len(remembered))
                self._keys = remembered
        return self._build()

    async def follow(self, swap: Callable[[Snapshot], None]) -> None:
        """Runs until cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL)
            snapshot = await asyncio.to_thread(self._next)
            if snapshot is not None:
                swap(snapshot)

    def _next(self) -> Snapshot | None:
        changed = self._look_at_records()
        if self._settings.changed():
            before = self._sections
            try:
                self._sections = self._settings.read()
                snapshot = self._build()
            except Misconfigured as error:
                self._sections = before
                log.error("settings not taken over: %s", error)  # noqa: TRY400 - its text says everything
            else:
                log.info("settings reloaded")
                return snapshot
        return self._build() if changed else None

    def _look_at_records(self) -> bool:
        """Whether the keys have changed. The records being down changes nothing."""
        try:
            revision = self._records.revision(GATEWAY_TOPIC)
            if revision == self._revision:
                self._up_again()
                return False
            keys = live_keys(self._records)
        except Unavailable as error:
            if not self._records_down:
                level = logging.DEBUG if error.reason == "records_not_set_up" else logging.WARNING
                log.log(level, "no word from the records, the last known keys stay valid: %s", error.message)
            self._records_down = True
            return False
        self._up_again()
        self._revision = revision
        self._keys = keys
        try:
            save_keys(self._remembered, keys)
        except OSError as error:
            log.warning("the keys could not be remembered for a start without records: %s", error)
        return True

    def _up_again(self) -> None:
        if self._records_down and self._revision >= 0:
            log.info("the records can be read again")
        self._records_down = False

    def _build(self) -> Snapshot:
        sections = self._sections
        if sections is None:
            raise RatchetError("The gateway has no settings yet.", "Call `start` first.")
        return build_snapshot(sections, self._keys, self._pool, self._simulator_url)


def build_snapshot(sections: Sections, keys: list[Key], pool: ProviderPool, simulator_url: str) -> Snapshot:
    """Everything a gateway serves with. Raises Misconfigured where a route names a provider that isn't there."""
    providers = pool.build(sections.providers, simulator_url=simulator_url)
    routes: dict[str, Route] = {}
    for name, route in sections.routes.items():
        targets: list[Target] = []
        for target in route.targets:
            provider, _, model = target.partition("/")
            if provider not in providers:
                raise Misconfigured(
                    f"routes.{name}.targets names the provider {provider!r}, which is not declared.",
                    f"Add [providers.{provider}], or use one of: {', '.join(sorted(providers))}.",
                )
            targets.append(Target(providers[provider], model))
        routes[name] = Route(name=name, targets=tuple(targets), steps=STEPS)
    return Snapshot(
        keys=keys_by_digest(keys),
        routes=routes,
        providers=providers,
        prices=PriceBook(sections.prices),
        steps=STEPS,
        max_body_bytes=sections.gateway.max_body_bytes,
        keep_content=sections.gateway.keep_content,
    )
