"""`SpanStore`: everything the project asks of the store of spans, scores and events, in one place."""

from __future__ import annotations

# ruff: noqa: S608 - statements are put together from names fixed in this room; every value is a parameter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from clickhouse_connect.datatypes.base import ClickHouseType

from ratchet.domain.runs import CaseFigures, Result
from ratchet.domain.spans import Event, Score, Span
from ratchet.domain.standings import SubjectKind
from ratchet.errors import Misconfigured
from ratchet.store.spans.callers import Sighting, events_about, sighting_of
from ratchet.store.spans.canaries import Opinion, Served, opinions_of, served_by
from ratchet.store.spans.clients import UNFIT, ClientPool
from ratchet.store.spans.filters import EVERY_RUN, window
from ratchet.store.spans.finding import find
from ratchet.store.spans.happenings import Happening, happenings_of
from ratchet.store.spans.health import HealthOf, health_of, key_use_of
from ratchet.store.spans.insert import columns_of, mended, telling, types_of
from ratchet.store.spans.owners import GRADED, OwnerKind, OwnerPage, page_of_owners
from ratchet.store.spans.prompts import PromptTotal, PromptUses, prompt_totals, prompt_uses, variables_of
from ratchet.store.spans.reliability import Reliability, reliability_of
from ratchet.store.spans.results import figures_of_run, results_of_run
from ratchet.store.spans.reuse import Reuse, reuse_of
from ratchet.store.spans.rows import (
    Facets,
    Found,
    Health,
    KeyUse,
    StoreHealth,
    Summary,
    TableHealth,
    TraceFilter,
    TracePage,
    TraceRow,
    TraceTree,
)
from ratchet.store.spans.schema import COLUMNS, LATEST, MIGRATIONS, MIGRATIONS_TABLE, TABLES
from ratchet.store.spans.sessions import (
    Session,
    SessionPage,
    SessionRow,
    every_session,
    load_session,
    page_of_sessions,
)
from ratchet.store.spans.speed import ModelCalls, Speed, calls_of, speed_of
from ratchet.store.spans.spending import Spending, spending_of
from ratchet.store.spans.summary import facets_of, summary_of
from ratchet.store.spans.traces import (
    every_score,
    every_trace,
    load_span,
    load_trace,
    page_of_traces,
    scores_of,
)
from ratchet.store.spans.traffic import Overview, overview_of

__all__ = ["SpanStore"]


class SpanStore:
    """Thread-safe. Every method may raise Unavailable when the engine can't answer."""

    def __init__(self, pool: ClientPool) -> None:
        self._pool = pool
        self._types: dict[str, list[ClickHouseType]] = {table: types_of(table) for table in TABLES}

    @classmethod
    def open(cls, dsn: str, *, memory_bytes: int | None = None) -> SpanStore:
        """Connect to `chdb:///absolute/folder` or `clickhouse://host:port/database` and bring its tables up to date.

        `memory_bytes` caps the embedded engine; it gets at least what a large batch takes (768 MiB). Raises Misconfigured for an address of another form or a store
        written by a newer version, Unavailable when it can't be reached or another process has the folder open.
        """
        pool = ClientPool(dsn, memory_bytes=memory_bytes)
        try:
            _migrate(pool)
        except BaseException:
            pool.close()
            raise
        return cls(pool)

    def close(self) -> None:
        """Wait for queries at work, then let go of the engine."""
        self._pool.close()

    def insert_spans(self, spans: Sequence[Span], *, token: str) -> None:
        """Insert once per token, however often it is called with it."""
        self._insert("spans", spans, token)

    def insert_scores(self, scores: Sequence[Score], *, token: str) -> None:
        """Insert once per token, however often it is called with it."""
        self._insert("scores", scores, token)

    def insert_events(self, events: Sequence[Event], *, token: str) -> None:
        """Insert once per token, however often it is called with it."""
        self._insert("events", events, token)

    def traces(self, project_id: str, filter: TraceFilter, *, limit: int = 50, offset: int = 0) -> TracePage:  # noqa: A002 - the word for it
        """A page of the traces that match, newest first, and how many match in all."""
        return page_of_traces(self._pool, project_id, filter, limit, offset)

    def every_trace(
        self,
        project_id: str,
        filter: TraceFilter,  # noqa: A002 - the word for it
        *,
        limit: int,
    ) -> tuple[int, Iterator[list[TraceRow]]]:
        """How many traces match, and the newest `limit` of them in batches, for a file of them all."""
        return every_trace(self._pool, project_id, filter, limit)

    def trace(self, project_id: str, trace_id: str) -> TraceTree | None:
        """Every span of a trace, without what is heavy, and the scores on it; None where it has no span."""
        return load_trace(self._pool, project_id, trace_id)

    def span(self, project_id: str, trace_id: str, span_id: str) -> Span | None:
        """One span with everything."""
        return load_span(self._pool, project_id, trace_id, span_id)

    def prompt_totals(self, project_id: str, *, since: int | None) -> dict[str, PromptTotal]:
        """Production's calls of each prompt, by its name."""
        return prompt_totals(self._pool, project_id, since=since)

    def prompt_uses(self, project_id: str, prompt: str, *, since: int | None) -> PromptUses:
        """What was done with a prompt: by version, and by version, target and temperature."""
        return prompt_uses(self._pool, project_id, prompt, since=since)

    def variables_of(self, project_id: str, prompt: str, *, since: int) -> str:
        """What filled a prompt in when it was last asked for, as JSON; "" where nobody says."""
        return variables_of(self._pool, project_id, prompt, since=since)

    def served_by(
        self, project_id: str, prompt: str, release: str, *, since: int, until: int, limit: int
    ) -> list[Served]:
        """Each user's first call of a release in [since, until), oldest first."""
        return served_by(self._pool, project_id, prompt, release, since=since, until=until, limit=limit)

    def opinions_of(
        self,
        project_id: str,
        prompt: str,
        release: str,
        *,
        since: int,
        scored_since: int,
        until: int,
        limit: int,
    ) -> list[Opinion]:
        """Each user's first score of each name since `scored_since`, on a release's calls since `since`."""
        return opinions_of(
            self._pool,
            project_id,
            prompt,
            release,
            since=since,
            scored_since=scored_since,
            until=until,
            limit=limit,
        )

    def find(self, project_id: str, text: str) -> list[Found]:
        """What an id stands for: a trace, a span, a user, a session, an organisation; nothing where it is none."""
        return find(self._pool, project_id, text)

    def scores(
        self,
        project_id: str,
        *,
        trace_id: str = "",
        span_id: str = "",
        session_id: str = "",
        limit: int = 200,
    ) -> list[Score]:
        """Newest first; each id that is given must match."""
        return scores_of(
            self._pool, project_id, trace_id=trace_id, span_id=span_id, session_id=session_id, limit=limit
        )

    def every_score(
        self, project_id: str, *, trace_id: str = "", span_id: str = "", session_id: str = "", limit: int
    ) -> Iterator[list[Score]]:
        """The newest `limit` scores in batches; each id that is given must match."""
        ids = {"trace_id": trace_id, "span_id": span_id, "session_id": session_id}
        return every_score(self._pool, project_id, ids, limit)

    def events(self, project_id: str, *, since: int = 0, kind: str = "", limit: int = 200) -> list[Event]:
        """Newest first; those that are about no project (a broken spool, a failing export) concern every one."""
        where, parameters = window(project_id, since, None, column="time", run=EVERY_RUN)
        where = where.replace("project_id = {project:String}", "project_id IN ({project:String}, '')")
        if kind:
            where += " AND kind = {kind:String}"
        columns = ", ".join(
            "toUnixTimestamp64Nano(time)" if name == "time" else name for name in COLUMNS["events"]
        )
        rows = self._pool.select(
            f"SELECT {columns} FROM events WHERE {where} ORDER BY time DESC, event_id LIMIT {{limit:UInt64}}",
            {**parameters, "kind": kind, "limit": limit},
        )
        return [Event(**dict(zip(COLUMNS["events"], row, strict=True))) for row in rows]

    def happenings(
        self, project_id: str, *, kinds: Sequence[str], since: int | None, limit: int = 200
    ) -> list[Happening]:
        """What was told since then, each kind and subject once, the newest first."""
        return happenings_of(self._pool, project_id, kinds=kinds, since=since, limit=limit)

    def sighting(self, project_id: str, kind: SubjectKind, name: str, *, since: int) -> Sighting | None:
        """How somebody was seen last by gateways since then; None where they were not. A key goes by its id."""
        return sighting_of(self._pool, project_id, kind, name, since=since)

    def events_about(
        self,
        project_id: str,
        *,
        kind: SubjectKind,
        names: Sequence[str],
        kinds: Sequence[str],
        since: int,
        limit: int,
    ) -> list[Event]:
        """Events of these kinds about somebody who has one of these names, the newest first."""
        return events_about(
            self._pool, project_id, kind=kind, names=names, kinds=kinds, since=since, limit=limit
        )

    def facets(self, project_id: str, *, since: int) -> Facets:
        """The values that occur, for filters to offer."""
        return facets_of(self._pool, project_id, since)

    def summary(self, project_id: str, *, since: int, until: int | None = None) -> Summary:
        """Requests, latencies, tokens, cost, errors and scores between two times."""
        return summary_of(self._pool, project_id, since, until)

    def health(self, project_id: str, *, by: HealthOf, since: int) -> dict[str, Health]:
        """How each provider or route that was called through a gateway since then is doing, by its name."""
        return health_of(self._pool, project_id, by, since)

    def models_called(self, project_id: str, *, since: int) -> list[ModelCalls]:
        """Which models answered through a gateway since then, by target."""
        return calls_of(self._pool, project_id, since)

    def speed(
        self, project_id: str, *, since: int, groups: Mapping[tuple[str, str], str]
    ) -> dict[str, Speed]:
        """How quick the calls of each group were; `groups` gives a target and model (see `models_called`) its group."""
        return speed_of(self._pool, project_id, since, groups)

    def reliability(self, project_id: str, *, since: int | None, until: int, now: int) -> Reliability:
        """What each target answered and lost between two times, and what gateways say of probes; and how
        circuits and queues stand at `now`."""
        return reliability_of(self._pool, project_id, since=since, until=until, now=now)

    def reuse(self, project_id: str, *, since: int, until: int) -> Reuse:
        """What answers given again saved between two times, and what audits found."""
        return reuse_of(self._pool, project_id, since=since, until=until)

    def spending(
        self,
        project_id: str,
        *,
        by: Sequence[str],
        only: Mapping[str, Sequence[str]],
        since: int,
        until: int,
        piece: int,
        sums: Sequence[Decimal] = (),
        limit: int = 20,
    ) -> Spending:
        """What production's calls cost, by whose they are; `by` and the keys of `only` are of WHOSE."""
        return spending_of(
            self._pool,
            project_id,
            by=by,
            only=only,
            since=since,
            until=until,
            piece=piece,
            sums=sums,
            limit=limit,
        )

    def key_use(self, project_id: str, *, since: int) -> dict[str, KeyUse]:
        """By the key's id: how often it was used since then, and when last."""
        return key_use_of(self._pool, project_id, since)

    def overview(
        self, project_id: str, wanted: TraceFilter, *, dimension: str, now: int, groups: int = 20
    ) -> Overview:
        """Model calls over time and by one property, beside the time before; at most so many groups."""
        return overview_of(self._pool, project_id, wanted, dimension, now, groups)

    def sessions(
        self,
        project_id: str,
        wanted: TraceFilter,
        *,
        order: str = "last",
        ascending: bool = False,
        limit: int = 50,
        offset: int = 0,
    ) -> SessionPage:
        """Sessions with a trace that matches, sorted by a key of `SESSION_ORDERS`."""
        return page_of_sessions(
            self._pool, project_id, wanted, order=order, ascending=ascending, limit=limit, offset=offset
        )

    def every_session(
        self, project_id: str, wanted: TraceFilter, *, order: str, ascending: bool, limit: int
    ) -> tuple[int, Iterator[list[SessionRow]]]:
        """How many sessions match, and the first `limit` of them, a batch at a time."""
        return every_session(self._pool, project_id, wanted, order=order, ascending=ascending, limit=limit)

    def session(
        self, project_id: str, session_id: str, *, limit: int = 20, offset: int = 0
    ) -> Session | None:
        """One session and some of its turns, oldest first; None where no span names it."""
        return load_session(self._pool, project_id, session_id, limit=limit, offset=offset)

    def graded_names(self, project_id: str) -> frozenset[str]:
        """The names of scores that have other values than 0 and 1. Under every other name they are thumbs."""
        return frozenset(row[0] for row in self._pool.select(GRADED, {"project": project_id}))

    def owners(
        self,
        project_id: str,
        kind: OwnerKind,
        wanted: TraceFilter,
        *,
        order: str = "requests",
        ascending: bool = False,
        limit: int = 50,
        offset: int = 0,
    ) -> OwnerPage:
        """Users or organisations with a span that matches, sorted by a key of `OWNER_ORDERS`."""
        return page_of_owners(
            self._pool, project_id, kind, wanted, order=order, ascending=ascending, limit=limit, offset=offset
        )

    def results(
        self,
        project_id: str,
        run_id: str,
        *,
        since: int,
        until: int | None = None,
        whole: bool = False,
        case_ids: Sequence[str] = (),
    ) -> list[Result]:
        """What a run has answered between two times, in no order; `whole` with whole texts and verdicts."""
        return results_of_run(
            self._pool, project_id, run_id, since=since, until=until, whole=whole, case_ids=case_ids
        )

    def figures(
        self, project_id: str, run_id: str, candidates: Sequence[str], *, since: int, until: int | None = None
    ) -> list[CaseFigures]:
        """The numbers of some candidates of a run, case by case: enough to compare them, and quicker than `results`."""
        return figures_of_run(self._pool, project_id, run_id, candidates, since=since, until=until)

    def has_spans(self, project_id: str) -> bool:
        """Whether production has any span at all."""
        sql = "SELECT 1 FROM spans WHERE project_id = {project:String} AND run_id = '' LIMIT 1"
        return bool(self._pool.select(sql, {"project": project_id}))

    def check(self) -> StoreHealth:
        """What the store holds; raises Unavailable when it can't say."""
        version = self._pool.select("SELECT version()")[0][0]
        rows = self._pool.select(
            "SELECT table, sum(rows), sum(bytes_on_disk), count() FROM system.parts "
            "WHERE active AND database = currentDatabase() GROUP BY table"
        )
        found = {row[0]: TableHealth(rows=row[1], bytes_on_disk=row[2], parts=row[3]) for row in rows}
        empty = TableHealth(rows=0, bytes_on_disk=0, parts=0)
        return StoreHealth(
            engine="chdb" if self._pool.embedded else "clickhouse",
            version=version,
            schema=_version(self._pool),
            tables={table: found.get(table, empty) for table in TABLES},
            bytes_on_disk=sum(table.bytes_on_disk for table in found.values()),
        )

    def _insert(self, table: str, rows: Sequence[msgspec.Struct], token: str) -> None:
        if not rows:
            return
        columns = columns_of(table, rows)
        try:
            self._insert_columns(table, columns, token)
        except UNFIT:
            self._insert_columns(table, mended(table, columns), token)

    def _insert_columns(self, table: str, columns: Sequence[Sequence[Any]], token: str) -> None:
        kept = telling(table, columns)
        names, types = COLUMNS[table], self._types[table]
        self._pool.insert(
            table,
            [names[place] for place in kept],
            [types[place] for place in kept],
            [columns[place] for place in kept],
            token=token,
        )


def _migrate(pool: ClientPool) -> None:
    pool.command(MIGRATIONS_TABLE)
    version = _version(pool)
    if version > LATEST:
        raise Misconfigured(
            f"The span store is at schema {version}; this version of ratchet knows up to {LATEST}.",
            "Start the newer ratchet that wrote it, or point store.spans at another place.",
        )
    for migration in MIGRATIONS:
        if migration.version > version:
            for statement in migration.statements:
                pool.command(statement)
            pool.command(
                f"INSERT INTO schema_migrations (version, name) VALUES ({migration.version}, '{migration.name}')"
            )


def _version(pool: ClientPool) -> int:
    return pool.select("SELECT max(version) FROM schema_migrations")[0][0]
