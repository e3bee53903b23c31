"""Routes and their targets, as a snapshot holds them, from what settings say."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from ratchet.catalog.prices import PriceBook
from ratchet.domain.usage import Usage
from ratchet.gateway.providers import Provider
from ratchet.gateway.settings import RouteSettings, TargetSettings
from ratchet.gateway.snapshot import Route, Step, Target
from ratchet.gateway.upstream.health import Health
from ratchet.gateway.upstream.queueing import PRIORITIES, FairQueue

__all__ = ["route_to", "routes_of"]

_PLAIN = TargetSettings()
_COMMITS = {"first_token": 1, "whole": 0}
_TYPICAL = Usage(input=1_000_000, output=250_000)  # what prices are compared by


def routes_of(
    declared: Mapping[str, RouteSettings],
    providers: Mapping[str, Provider],
    prices: PriceBook,
    health: Health,
    steps: Mapping[str, tuple[Step, ...]],
    now: int,
) -> dict[str, Route]:
    """Every declared route. `steps` by route; `now` in nanoseconds since the epoch, for prices."""
    return {
        name: _route(name, settings, providers, prices, health, steps[name], now)
        for name, settings in declared.items()
    }


def route_to(provider: Provider, model: str, name: str, health: Health, steps: tuple[Step, ...]) -> Route:
    """The route that a model named `provider/model` stands for."""
    target = Target(
        provider=provider,
        model=model,
        name=name,
        circuits=health.circuits(name, provider.credentials),
        pace=health.pace(name),
        queue=_queue(provider, health),
        connect=provider.connect_timeout,
        stall=RouteSettings.model_fields["stall_timeout"].default,
        total=provider.timeout,
    )
    return Route(name=name, targets=(target,), steps=steps, timeout=provider.timeout)


def _route(
    name: str,
    settings: RouteSettings,
    providers: Mapping[str, Provider],
    prices: PriceBook,
    health: Health,
    steps: tuple[Step, ...],
    now: int,
) -> Route:
    targets = tuple(_target(target, settings, providers, prices, health, now) for target in settings.targets)
    unknown = Decimal("Infinity")
    return Route(
        name=name,
        targets=targets,
        steps=steps,
        choose=settings.choose,
        sticky=settings.sticky,
        attempts=settings.max_attempts,
        timeout=settings.timeout,
        hedge=settings.hedge,
        commit=_COMMITS[settings.commit] if isinstance(settings.commit, str) else settings.commit,
        around_refusals=settings.around_refusals,
        priority=PRIORITIES[settings.priority],
        by_price=tuple(sorted(targets, key=lambda each: unknown if each.price is None else each.price)),
    )


def _target(
    name: str,
    route: RouteSettings,
    providers: Mapping[str, Provider],
    prices: PriceBook,
    health: Health,
    now: int,
) -> Target:
    provider_name, _, model = name.partition("/")
    provider, chosen = providers[provider_name], route.options.get(name, _PLAIN)
    known = prices.price_of(provider.vendor, model) if len(route.targets) > 1 else None
    return Target(
        provider=provider,
        model=model,
        name=name,
        circuits=health.circuits(name, provider.credentials),
        pace=health.pace(name),
        queue=_queue(provider, health),
        weight=chosen.weight,
        connect=chosen.connect_timeout or route.connect_timeout or provider.connect_timeout,
        first_token=chosen.first_token_timeout or route.first_token_timeout,
        stall=chosen.stall_timeout or route.stall_timeout,
        total=chosen.timeout or provider.timeout,
        context_window=chosen.context_window or (known.context_window if known is not None else None),
        price=prices.cost(provider.name, (model,), _TYPICAL, now, vendor=provider.vendor)
        if route.choose == "cheapest"
        else None,
    )


def _queue(provider: Provider, health: Health) -> FairQueue | None:
    if provider.most_at_once is None:
        return None
    return health.queue(provider.name, provider.most_at_once, provider.most_waiting)
