"""Probes: asking each provider a word now and then, to know how it is when no app asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal

import msgspec

from ratchet.dialects import openai_chat
from ratchet.domain.usage import Usage
from ratchet.errors import RatchetError, Unavailable
from ratchet.gateway.answering.asking import connection_failure, upstream_error
from ratchet.gateway.providers import Provider
from ratchet.gateway.services import Services
from ratchet.gateway.targets import route_to
from ratchet.gateway.upstream.connection import Answer, ConnectionBroken
from ratchet.gateway.upstream.pool import Unreachable
from ratchet.gateway.upstream.translation import Translation

__all__ = ["Probe", "probe", "probe_providers"]

_LOOK_INTERVAL = 1.0  # seconds between looks at who is due
_PATIENCE = 60.0  # seconds for one probe
_BODY = msgspec.json.encode(
    {
        "model": "probe",
        "messages": [{"role": "user", "content": "Say OK."}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 16,
    }
)


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """How it went. Times in seconds; `failure` is "" where the provider answered."""

    provider: str
    model: str
    seconds: float
    first_token: float | None = None
    cost: Decimal | None = None
    failure: str = ""


async def probe_providers(services: Services, chance: Callable[[], float]) -> None:
    """Probe every provider that wants it, each in its own interval. Runs until cancelled."""
    due: dict[str, float] = {}
    async with asyncio.TaskGroup() as probes:
        while True:
            now = services.health.clock()
            wanted = {
                name: provider for name, provider in services.snapshot.providers.items() if provider.probe
            }
            for name in due.keys() - wanted.keys():
                del due[name]
            for name, provider in wanted.items():
                if name not in due:
                    due[name] = now + chance() * provider.probe_interval
                elif due[name] <= now:
                    due[name] = now + provider.probe_interval
                    probes.create_task(_probe_and_tell(services, provider))
            await asyncio.sleep(_LOOK_INTERVAL)


async def _probe_and_tell(services: Services, provider: Provider) -> None:
    outcome = await probe(services, provider)
    attributes = {"model": outcome.model, "seconds": f"{outcome.seconds:.6f}"}
    if outcome.first_token is not None:
        attributes["time_to_first_token"] = f"{outcome.first_token:.6f}"
    if outcome.cost is not None:
        attributes["cost"] = f"{outcome.cost:f}"
    event = services.event(
        "probe.failed" if outcome.failure else "probe.answered",
        provider.name,
        outcome.failure or f"{provider.name}/{outcome.model} answered.",
        severity="warning" if outcome.failure else "info",
        attributes=attributes,
    )
    try:
        services.record(event)
    except Unavailable:  # the spool is full; it counts what it refuses
        return


async def probe(services: Services, provider: Provider) -> Probe:
    """Ask for one short stream. Never raises what the provider does wrong."""
    model, clock = provider.probe, services.clock
    began = clock()
    first: float | None = None
    usage: Usage | None = None
    failure = ""
    answer: Answer | None = None
    target = route_to(provider, model, f"{provider.name}/{model}", services.health, ()).targets[0]
    try:
        provider.check_credential()
        wire = provider.wire_for(openai_chat.DIALECT)
        if wire.dialect.name == openai_chat.DIALECT.name:
            body = openai_chat.DIALECT.rewrite(_BODY, model, provider.drop_fields, False)
        else:
            body = Translation(openai_chat.DIALECT, wire.dialect, _BODY, began=0).request(model)
        answer = await provider.request(wire, model, body, {}, stream=True, due_in=_PATIENCE)
        if answer.status != 200:
            said = upstream_error(answer.status, await answer.body(), target, wire.dialect)
            failure = said.message if said is not None else f"It answered with status {answer.status}."
        else:
            reader = wire.dialect.stream_head()
            while not (reader.done or reader.malformed or reader.error) and (chunk := await answer.chunk()):
                reader.feed(chunk)
                if first is None and reader.has_content:
                    first = (clock() - began) / 1e9
            reader.finish()
            usage = reader.tokens
            if reader.error is not None or reader.malformed or not (reader.done or reader.finish_reasons):
                failure = "Its stream was not whole."
    except RatchetError as error:
        failure = error.message
    except (Unreachable, ConnectionBroken) as error:
        failure = connection_failure(error, target).error.message
    finally:
        if answer is not None:
            answer.close()
    cost = None
    if usage is not None:
        cost = services.snapshot.prices.cost(
            provider.name, (model,), usage, services.now(), vendor=provider.vendor
        )
    return Probe(
        provider=provider.name,
        model=model,
        seconds=(clock() - began) / 1e9,
        first_token=first,
        cost=cost,
        failure=failure,
    )
