"""Settings: what is in force and where it comes from, where things are kept, and what is in the way of what is new."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from ratchet.errors import RatchetError
from ratchet.gateway.loading.naming import Flaw
from ratchet.store.records.keys import GATEWAY_TOPIC
from ratchet.studio.asking_gateway import GatewayLine, GatewayState
from ratchet.studio.declaring import merged_now
from ratchet.studio.in_force import Installation, Setting
from ratchet.studio.rendering import json_response, page
from ratchet.studio.services import Visit
from ratchet.studio.visiting import Asked

__all__ = ["SettingsNow", "settings_json", "settings_page"]


class SettingsNow(msgspec.Struct, frozen=True):
    """Everything the page shows. No secret's value is in it.

    `problem` tells why the file as it is now is not in force; `conflicts` which declarations stand in each other's
    way. `current` says whether the gateway serves with the newest records.
    """

    file: str
    exists: bool
    problem: str
    conflicts: tuple[Flaw, ...]
    settings: tuple[Setting, ...]
    gateway: GatewayState
    current: bool
    installation: Installation
    spool: dict[str, Any]
    providers: int
    routes: int


def settings_now(asked: Visit) -> SettingsNow:
    services = asked.services
    in_force = services.in_force()
    merged, _ = merged_now(asked)
    line: GatewayLine = asked.request.app.state.gateway
    gateway = line.state(services)
    return SettingsNow(
        file=in_force.path,
        exists=in_force.exists,
        problem=str(in_force.problem) if in_force.problem else "",
        conflicts=merged.flaws,
        settings=in_force.settings,
        gateway=gateway,
        current=gateway.revision == services.records.revision(GATEWAY_TOPIC),
        installation=services.installation(),
        spool=dict(services.spool_status()),
        providers=len(merged.providers),
        routes=len(merged.routes),
    )


def settings_json(asked: Asked) -> Response:
    """What is in force, where it comes from, and what is refused. No secret's value is in it."""
    return json_response(settings_now(asked))


def settings_page(asked: Asked) -> Response:
    shown = settings_now(asked)
    health = ""
    try:
        asked.services.spans()
    except RatchetError as error:
        health = str(error)
    return page(asked, "settings.html", now_=shown, sections=_sections(shown.settings), store_problem=health)


def _sections(settings: tuple[Setting, ...]) -> dict[str, list[Setting]]:
    """By the first part of their names, in their order."""
    found: dict[str, list[Setting]] = {}
    for each in settings:
        found.setdefault(each.key.partition(".")[0], []).append(each)
    return found
