"""How the gateway asks its own routes, for judges of kept answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable

from ratchet.domain.generation import Answer, Request
from ratchet.gateway.inside import Inside, generator
from ratchet.gateway.services import Services
from ratchet.gateway.snapshot import Snapshot

__all__ = ["own_generators"]

Generate = Callable[[Request], Awaitable[Answer]]
_NAME = "cache"  # the key that stands in the spans of these calls


def own_generators(services: Services) -> Callable[[str], Generate]:
    """A project's way to ask models through what the gateway serves with now.

    The calls are recorded like any other. They take no policies' steps: a judge is not limited by what it judges, and
    its verdicts don't come from memory.
    """
    known: dict[str, tuple[Snapshot, Generate]] = {}

    def generate_for(project: str) -> Generate:
        snapshot = services.snapshot
        before = known.get(project)
        if before is not None and before[0] is snapshot:
            return before[1]
        plain = {
            name: dataclasses.replace(route, steps=snapshot.steps) for name, route in snapshot.routes.items()
        }
        inside = Inside(
            dataclasses.replace(snapshot, routes=plain),
            services.spool,
            project_id=project,
            now=services.now,
            name=_NAME,
        )
        made = generator(inside.ask)
        known[project] = snapshot, made
        return made

    return generate_for
