"""Standings: who is blocked, allowed or given more room. The API for the command line and programs."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ratchet.domain.standings import Action
from ratchet.store.records.standings import drop_standing, list_standings, put_standing
from ratchet.studio.rendering import json_response
from ratchet.studio.visiting import Asked, Moment

__all__ = ["NewStanding", "add_standing", "remove_standing", "standings_json"]


class NewStanding(BaseModel):
    """A decision about a caller. `until` is in nanoseconds since the epoch; `factor` is for the action raise."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["user", "fingerprint", "ip", "organisation", "key"]
    name: str = Field(max_length=1000)
    action: Action
    factor: float = 1.0
    reason: str = ""
    note: str = ""
    until: Moment | None = None


def standings_json(asked: Asked) -> Response:
    """Every standing of the project, newest first, those that have ended too."""
    return json_response(list_standings(asked.services.records, project_id=asked.project_id))


def add_standing(asked: Asked, body: NewStanding) -> Response:
    """Decide about a caller; what was decided about them before gives way. Gateways follow within a second."""
    made = put_standing(
        asked.services.records,
        project_id=asked.project_id,
        now=asked.services.now(),
        by=asked.member.email,
        **body.model_dump(),
    )
    return json_response(made, status=201)


def remove_standing(asked: Asked, standing_id: str) -> Response:
    """Take a decision back, by its id."""
    records = asked.services.records
    return json_response(drop_standing(records, project_id=asked.project_id, standing_id=standing_id))
