"""A studio on a real SQLite and a real chDB, with a clock that tests can move."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from sqlalchemy import insert
from starlette.testclient import TestClient

from ratchet.domain.access import Member, Role
from ratchet.domain.spans import Score
from ratchet.store.records import DEFAULT_PROJECT, Records, schema
from ratchet.store.records.members import accept_link, create_link, start_login
from ratchet.store.records.migrate import migrate
from ratchet.store.spans import SpanStore
from ratchet.studio import RouteView, StudioServices, studio_app
from ratchet.studio.access import COOKIE

START = 1_790_000_000 * 10**9  # a moment in September 2026
PASSWORD = "three quiet herons"
LOCAL_TOKEN = "local-secret-of-the-command-line"


@dataclass
class Clock:
    """Nanoseconds since the epoch, where a test has put them."""

    at: int = START

    def __call__(self) -> int:
        return self.at


@dataclass
class Studio:
    """The application and what stands behind it."""

    app: FastAPI
    records: Records
    store: SpanStore
    clock: Clock
    appended: list[Score] = field(default_factory=list)
    project_id: str = DEFAULT_PROJECT
    _members: dict[Role, Member] = field(default_factory=dict)

    def client(self, member: Member | None = None, **options: Any) -> TestClient:
        """A browser: signed in as `member`, or nobody."""
        client = TestClient(self.app, base_url="http://studio.test", follow_redirects=False, **options)
        if member is not None:
            client.cookies.set(COOKIE, start_login(self.records, member, now=self.clock()))
        return client

    def visitor(self, role: Role) -> TestClient:
        """A browser that is on one of the studio's pages, signed in with that role: it may post forms."""
        return self.client(self.member(role), headers={"sec-fetch-site": "same-origin"})

    def member(self, role: Role) -> Member:
        """A member with that role, made when first asked for."""
        if role in self._members:
            return self._members[role]
        email = f"{role.label}@example.org"
        link = create_link(self.records, project_id=self.project_id, email=email, role=role, now=self.clock())
        member = accept_link(self.records, link, email=email, password=PASSWORD, now=self.clock())
        return self._members.setdefault(role, member)


@contextmanager
def running_studio(
    folder: Path,
    *,
    clock: Clock | None = None,
    collect_at_once: bool = False,
    spans: SpanStore | None = None,
    project_id: str = DEFAULT_PROJECT,
    records: Records | None = None,
    gateway_address: str = "http://127.0.0.1:9",
    **services: Any,
) -> Iterator[Studio]:
    """`collect_at_once` puts scores from pages into the store, as the collector would a moment later.

    `spans` is a store that is open already: a process can hold only one chDB folder open at a time. `services` are
    more of the studio's; by default no gateway answers.
    """
    records = records or Records.open(f"sqlite:///{folder}/records.sqlite")
    migrate(records)
    if project_id != DEFAULT_PROJECT:
        with records.write() as connection:
            connection.execute(insert(schema.projects).values(id=project_id, name=project_id, created=0))
    store = spans or SpanStore.open(f"chdb://{folder}/spans")
    moment = clock or Clock()
    appended: list[Score] = []

    def append(score: Score) -> None:
        appended.append(score)
        if collect_at_once:
            store.insert_scores([score], token=score.score_id)

    app = studio_app(
        StudioServices(
            records=records,
            spans=lambda: store,
            now=moment,
            append_score=append,
            routes=lambda: [RouteView("support", ("openai/gpt-4o-mini",))],
            local_token=LOCAL_TOKEN,
            spool_status=lambda: {"bytes": 0, "refused": 0},
            project_id=project_id,
            gateway_address=gateway_address,
            **services,
        )
    )
    try:
        yield Studio(app, records, store, moment, appended, project_id)
    finally:
        if spans is None:
            store.close()
        records.close()


def words_of(html: str) -> str:
    """What people read."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def text_of(page: Any) -> str:
    """What people read on a page."""
    return words_of(page.text)


def error_beside(page: Any, name: str) -> str:
    """What a form says is wrong with the field of that name."""
    found = re.search(rf'name="{name}".*?<p class="error"[^>]*>(.*?)</p>', page.text, re.DOTALL)
    assert found, f"no error beside {name}"
    return words_of(found[1])


def fill(studio: Studio, seed: Any, token: str) -> None:
    """Put a seed's spans and scores into the store."""
    studio.store.insert_spans(seed.spans, token=f"{token}-spans")
    studio.store.insert_scores(seed.scores, token=f"{token}-scores")
