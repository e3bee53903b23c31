"""What the project looks like in numbers, its events, and whether this process is well."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from starlette.requests import Request
from starlette.responses import Response

from ratchet.errors import RatchetError
from ratchet.studio.filters import RANGES, parse_time
from ratchet.studio.rendering import json_response
from ratchet.studio.visiting import Asked

__all__ = ["events_json", "health", "openapi_json", "summary_json"]


def summary_json(asked: Asked, since: str = "", until: str = "") -> Response:
    """Requests, errors, models, latency, tokens, cost and scores from `since` (24 hours ago) until `until` (now)."""
    begin = parse_time("since", since) if since else asked.services.now() - RANGES["24h"][1]
    end = parse_time("until", until) if until else None
    return json_response(asked.services.spans().summary(asked.project_id, since=begin, until=end))


def events_json(
    asked: Asked, since: str = "", kind: str = "", limit: Annotated[int, Query(ge=1, le=1000)] = 200
) -> Response:
    """Changes of state, newest first."""
    begin = parse_time("since", since) if since else 0
    return json_response(asked.services.spans().events(asked.project_id, since=begin, kind=kind, limit=limit))


def health(asked: Asked) -> Response:
    """200 when pages can be served, else 503 with the part that can't be reached.

    Why it can't, and how full the spool is, is for those who are signed in.
    """
    parts: dict[str, Any] = {"records": "ok", "spans": "ok"}
    try:
        asked.services.records.revision("gateway")
    except RatchetError as error:
        parts["records"] = error.message
    try:
        asked.services.spans()
    except RatchetError as error:
        parts["spans"] = error.message
    well = all(state == "ok" for state in parts.values())
    if asked.signed_in is None:
        parts = {name: "ok" if state == "ok" else "unreachable" for name, state in parts.items()}
    else:
        parts["spool"] = dict(asked.services.spool_status())
    return json_response({"status": "ok" if well else "degraded", **parts}, status=200 if well else 503)


def openapi_json(request: Request) -> Response:
    """The API's description, made from the handlers."""
    return json_response(request.app.state.description())
