"""What the studio is handed: everything it does beyond rendering goes through one of these."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request

from ratchet.domain.access import Member
from ratchet.domain.prompts import DEFAULT_LABEL, Release
from ratchet.domain.releases import CanaryReport
from ratchet.domain.spans import Score
from ratchet.store.records import DEFAULT_PROJECT, Records
from ratchet.store.spans import SpanStore
from ratchet.studio.in_force import InForce, Installation

__all__ = ["RouteView", "StudioServices", "Visit"]


@dataclass(frozen=True)
class RouteView:
    """A route as pages show it: its name and its targets as `provider/model`."""

    name: str
    targets: tuple[str, ...] = ()


def _no_report(_: Release) -> CanaryReport | None:
    return None


def _new_id() -> str:
    return secrets.token_hex(16)


@dataclass(frozen=True)
class StudioServices:
    """The studio's dependencies. `now` gives nanoseconds since the epoch; `spans` may raise Unavailable.

    `append_score` returns once the score is durable. `begin_run` has a queued run, by its id, begun in a process of its
    own; None where nothing can be begun. `local_token` is what the CLI on the same machine shows; ""
    turns that way in off. `gateway_url` is where apps send requests, for the snippets that pages show, and
    `gateway_address` where this process reaches the gateway ("": at the same place). `in_force` says what the
    settings file and the environment say now, `installation` where things are kept and how large they are.
    `protected_labels` are those labels of prompts that an admin alone moves; `canary_report` says how a release's canary does, and may raise Unavailable.
    """

    records: Records
    spans: Callable[[], SpanStore]
    now: Callable[[], int]
    append_score: Callable[[Score], None]
    routes: Callable[[], Sequence[RouteView]]
    local_token: str
    spool_status: Callable[[], Mapping[str, object]]
    gateway_url: str = "http://127.0.0.1:8080"
    gateway_address: str = ""
    in_force: Callable[[], InForce] = InForce
    installation: Callable[[], Installation] = Installation
    canary_report: Callable[[Release], CanaryReport | None] = _no_report
    protected_labels: Callable[[], frozenset[str]] = lambda: frozenset({DEFAULT_LABEL})
    project_id: str = DEFAULT_PROJECT
    new_id: Callable[[], str] = _new_id
    begin_run: Callable[[str], None] | None = None


@dataclass(frozen=True)
class Visit:
    """One admitted request: who asks, and what the handler may use. `member` is None on public pages."""

    request: Request
    services: StudioServices
    signed_in: Member | None

    @property
    def member(self) -> Member:
        """Who asks. Only for handlers behind a role, where there always is someone."""
        if self.signed_in is None:
            raise LookupError("this page is public: nobody is signed in")
        return self.signed_in

    @property
    def project_id(self) -> str:
        return self.services.project_id
