"""Keeping the snapshot current: the records and the settings file are looked at twice a second, in a thread."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from ratchet.catalog.prices import PriceBook
from ratchet.domain.prompts import PromptVersion
from ratchet.errors import Misconfigured, Unavailable
from ratchet.gateway.cache.exact import AnswerCache
from ratchet.gateway.caller import network_of
from ratchet.gateway.loading.admission import Admission, admission
from ratchet.gateway.loading.merging import Sections, merge
from ratchet.gateway.loading.naming import unknown_keys
from ratchet.gateway.loading.remembered import Known, load_known, save_known
from ratchet.gateway.loading.steps import Steps
from ratchet.gateway.promptbook import PromptBook
from ratchet.gateway.providers import ProviderPool
from ratchet.gateway.snapshot import Snapshot, keys_by_digest
from ratchet.gateway.targets import routes_of
from ratchet.gateway.trust.settings import nanoseconds
from ratchet.gateway.upstream.health import Health
from ratchet.store.records import Records
from ratchet.store.records.declarations import all_declared
from ratchet.store.records.forgetting import all_forgotten
from ratchet.store.records.keys import GATEWAY_TOPIC, live_keys
from ratchet.store.records.releases import served_prompts
from ratchet.store.records.standings import live_standings

__all__ = ["Reloader", "SettingsSource", "build_snapshot"]

log = logging.getLogger("ratchet.gateway")
_INTERVAL = 0.5  # seconds: half of what a revocation may take
_GRACE = (
    60.0  # seconds beyond a provider's deadline, after which no request of a gateway that lives is under way
)


class SettingsSource(Protocol):
    """Reads settings, knows when there is something new to read and what of it waits for a restart, and keeps what has
    proved good for one."""

    def read(self) -> Sections: ...
    def changed(self) -> bool: ...
    def waiting(self) -> Sequence[str]: ...
    def keep(self) -> None: ...


@dataclasses.dataclass(frozen=True, slots=True)
class _Sources:
    """What a snapshot is made of."""

    sections: Sections
    known: Known


class Reloader:
    """Builds snapshots. After `start`, `follow` swaps a new one in whenever something has changed.

    What is newest and what is in force differ while the newest can't be used: then the last good file, or the last
    good declarations of the studio, stay in force. Keys are always the newest: a revocation waits for nobody.
    """

    def __init__(
        self,
        settings: SettingsSource,
        records: Records,
        remembered: Path,
        pool: ProviderPool,
        simulator_url: str,
        answers: AnswerCache | None = None,
    ) -> None:
        """`answers` is the memory of routes that cache; without it none does, as in runs, whose repeats must differ."""
        self._settings = settings
        self._records = records
        self._remembered = remembered
        self._pool = pool
        self._simulator_url = simulator_url
        self.answers = answers
        self._health = Health()
        self._revision = -1
        self._records_down = False
        self._newest: _Sources | None = None
        self._in_force: _Sources | None = None
        self._unreadable = ""  # why the file as it is now can't be read at all
        self._refused = ""  # what is in the way of what is newest
        self._unknown: set[str] = set()  # keys that are named and not there, in words
        self._prices: tuple[object, PriceBook] | None = None
        self._versions: dict[str, PromptVersion] = {}  # by their id: they never change
        self._prompts: tuple[object, PromptBook] = ((), PromptBook())

    def start(self, sections: Sections, *, last_good: Sections | None = None) -> Snapshot:
        """The first snapshot, from settings just read. Raises Misconfigured where they can't be used.

        `last_good` stands in for them then: a gateway that died has to come back whatever became of the file.
        """
        remembered = load_known(self._remembered)
        known = self._look_at_records()
        if known is None:
            known = remembered or Known()
            if remembered is not None and self._records_down:
                log.warning(
                    "serving with the %d keys known when the records were last up", len(remembered.keys)
                )
        self._newest = _Sources(sections, known)
        if last_good is not None:
            declared = remembered.declared if remembered else known.declared
            before = msgspec.structs.replace(known, declared=declared)
            self._in_force = _Sources(last_good, before)
        return self._build()

    async def follow(self, swap: Callable[[Snapshot], None]) -> None:
        """Runs until cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL)
            snapshot = await asyncio.to_thread(self._next)
            if snapshot is not None:
                swap(snapshot)

    def _next(self) -> Snapshot | None:
        newest = self._newest
        if newest is None:
            return None
        known = self._look_at_records()
        looks_new = self._settings.changed()
        if known is None and not looks_new:
            return None
        sections = self._read_settings() if looks_new else None
        self._newest = _Sources(sections or newest.sections, known or newest.known)
        try:
            return self._build()
        except Misconfigured as error:
            # Not even what was good works any more, such as a proxy's address that the environment names.
            self._refuse(error)
            return None

    def _read_settings(self) -> Sections | None:
        """The file, where it can be read."""
        try:
            sections = self._settings.read()
        except Misconfigured as error:
            self._unreadable = str(error)
            return None
        self._unreadable = ""
        return sections

    def _look_at_records(self) -> Known | None:
        """What they say, where that has changed. The records being down changes nothing."""
        try:
            revision = self._records.revision(GATEWAY_TOPIC)
            if revision == self._revision:
                self._up_again()
                return None
            self._versions, prompts = served_prompts(self._records, self._versions)
            known = Known(
                tuple(live_keys(self._records)),
                all_declared(self._records),
                prompts,
                tuple(live_standings(self._records, now=time.time_ns())),
                tuple(all_forgotten(self._records)),
            )
        except Unavailable as error:
            if not self._records_down:
                level = logging.DEBUG if error.reason == "records_not_set_up" else logging.WARNING
                log.log(level, "no word from the records, the last known keys stay valid: %s", error.message)
            self._records_down = True
            return None
        self._up_again()
        self._revision = revision
        return known

    def _up_again(self) -> None:
        if self._records_down and self._revision >= 0:
            log.info("the records can be read again")
        self._records_down = False

    def _build(self) -> Snapshot:
        """The best snapshot there can be. Raises Misconfigured where there is none."""
        first: Misconfigured | None = None
        for sources in self._candidates():
            try:
                snapshot = build_snapshot(
                    sources.sections,
                    sources.known,
                    self._pool,
                    self._simulator_url,
                    prices=self._price_book(sources.sections),
                    prompts=self._prompt_book(sources.known),
                    answers=self.answers,
                    health=self._health,
                )
            except Misconfigured as error:
                first = first or error
                continue
            self._refuse(first or self._unreadable)
            self._adopt(sources)
            return dataclasses.replace(
                snapshot, revision=self._revision, settings_refused=bool(self._refused)
            )
        assert first is not None  # noqa: S101 - there is always a candidate, and it failed
        raise first

    def _candidates(self) -> Iterator[_Sources]:
        """From what is newest to what was good last, always with the newest keys."""
        assert self._newest is not None  # noqa: S101 - `start` has set it
        newest, good = self._newest, self._in_force
        yield newest
        if good is not None:
            declared_before = msgspec.structs.replace(newest.known, declared=good.known.declared)
            yield _Sources(good.sections, newest.known)
            yield _Sources(newest.sections, declared_before)
            yield _Sources(good.sections, declared_before)

    def _refuse(self, why: Misconfigured | str) -> None:
        """Log it once."""
        text = str(why)
        if text and text != self._refused:
            log.error("settings not taken over: %s", text)
        self._refused = text

    def _adopt(self, sources: _Sources) -> None:
        before, self._in_force = self._in_force, sources
        if self.answers is not None:
            self.answers.forget(sources.known.forgotten)
        if before is None or before.sections is not sources.sections:
            if before is not None:
                self._tell_reloaded()
            if self._newest is not None and sources.sections is self._newest.sections:
                self._settings.keep()
        if self._revision >= 0 and (before is None or before != sources):
            self._tell_unknown(sources)
        if self._revision >= 0 and (before is None or before.known != sources.known):
            try:
                save_known(self._remembered, sources.known)
            except OSError as error:
                log.warning("the keys could not be remembered for a start without records: %s", error)

    def _tell_reloaded(self) -> None:
        late = ", ".join(self._settings.waiting())
        if late:
            log.warning("settings reloaded; changes of these wait for a restart: %s", late)
        else:
            log.info("settings reloaded")

    def _tell_unknown(self, sources: _Sources) -> None:
        """Log each name of a key once that nobody has, as long as nobody has it."""
        merged = merge(sources.sections, sources.known.declared)
        found = {text for _, _, text in unknown_keys(merged, sources.known.keys)}
        for text in sorted(found - self._unknown):
            log.warning("%s", text)
        self._unknown = found

    def _price_book(self, sections: Sections) -> PriceBook:
        """The same one while `[prices]` stay the same: it has looked up the models in use."""
        if self._prices is None or self._prices[0] != sections.prices:
            self._prices = (sections.prices, PriceBook(sections.prices))
        return self._prices[1]

    def _prompt_book(self, known: Known) -> PromptBook:
        """The same one while the prompts stay the same, and of a new one only what is new is compiled."""
        before = self._prompts
        if before[0] != known.prompts:
            self._prompts = (known.prompts, PromptBook(known.prompts, before[1]))
        return self._prompts[1]


def build_snapshot(
    sections: Sections,
    known: Known,
    pool: ProviderPool,
    simulator_url: str,
    *,
    prices: PriceBook | None = None,
    prompts: PromptBook | None = None,
    answers: AnswerCache | None = None,
    health: Health | None = None,
) -> Snapshot:
    """Everything a gateway serves with. Raises Misconfigured, naming each declaration that can't be used.

    Without `answers` it is no gateway of apps: no route keeps answers, and nobody is held to a limit.
    """
    merged = merge(sections, known.declared)
    if merged.flaws:
        raise Misconfigured(
            " ".join(flaw.message for flaw in merged.flaws), " ".join(flaw.remedy for flaw in merged.flaws)
        )
    prices = prices or PriceBook(sections.prices)
    health = health or Health()
    providers = pool.build(
        merged.providers,
        simulator_url=simulator_url,
        # The file and the environment are the operator's word; what members declare is not.
        guarded={name for name, origin in merged.origins["provider"].items() if origin == "studio"},
        allow_private=sections.gateway.allow_private,
        longest=sections.gateway.max_answer_bytes,
    )
    steps = Steps(sections.gateway, merged, answers)
    admitted = admission(sections.trust, merged, known) if answers is not None else Admission()  # see Steps
    return Snapshot(
        keys=keys_by_digest(known.keys),
        routes=routes_of(
            merged.routes,
            providers,
            prices,
            health,
            {name: steps.of(name, route) for name, route in merged.routes.items()},
            time.time_ns(),
        ),
        providers=providers,
        prices=prices,
        health=health,
        keep_alive=sections.gateway.keep_alive,
        prompts=prompts or PromptBook(known.prompts),
        steps=steps.of_models(),
        choices=steps.of_choices(),
        max_body_bytes=sections.gateway.max_body_bytes,
        keep_content=sections.gateway.keep_content,
        admission=admitted.steps,
        stand=admitted.stand,
        look=admitted.look,
        trust_half_life=nanoseconds(sections.trust.half_life),
        origins=frozenset(origin.encode() for key in known.keys for origin in key.origins),
        trusted_proxies=tuple(network_of(text) for text in sections.gateway.trusted_proxies),
    )
