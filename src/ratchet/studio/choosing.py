"""The catalogue as this installation knows it: prices of every source, who serves a model here, how quick it was, what
members think of it, and what leaderboards say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from ratchet.catalog.models import Catalogue, Model, catalogue
from ratchet.catalog.prices import vendor_of
from ratchet.catalog.quotes import VENDORS, Quote, agree, quotes_of
from ratchet.catalog.recommend import Judgement, Needs, recommend
from ratchet.domain.stars import Hint, Star
from ratchet.errors import RatchetError
from ratchet.gateway.loading.merging import Merged
from ratchet.store.records.opinions import list_hints, list_stars
from ratchet.store.spans import ModelCalls, Speed
from ratchet.studio.declaring import merged_now
from ratchet.studio.services import Visit

__all__ = [
    "MEASURED_DAYS",
    "Known",
    "Measured",
    "ModelView",
    "Rating",
    "Recommended",
    "recommended",
    "shelf",
    "view",
]

MEASURED_DAYS = 30  # what is older says little of how quick a model is now
_DAY = 86_400 * 10**9


class Rating(msgspec.Struct, frozen=True):
    """What members think, on average."""

    mean: float
    count: int


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A model of the catalogue, and what is known of it here.

    `prices_agree` tells whether the sources name the same prices. `here` are the declared providers that serve it.
    `speed` is that of the last 30 days, None without calls; where all of them went to a simulator, `simulated` says
    so, and where not, theirs are left out. `hints` counts the imported scores.
    """

    model: Model
    quotes: tuple[Quote, ...]
    prices_agree: bool
    here: list[str]
    speed: Speed | None
    simulated: bool
    rating: Rating | None
    hints: int

    @property
    def price(self) -> Quote | None:
        """The price to show where there is room for one: the one that calls are billed by, else the catalogue's."""
        return next((quote for quote in self.quotes if quote.billed), self.quotes[0] if self.quotes else None)


class Measured(msgspec.Struct, frozen=True):
    """How quick a model was at one target."""

    target: str
    simulated: bool
    speed: Speed


class ModelView(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one model: `known`, its speed by target, and every star and imported score."""

    known: Known
    targets: list[Measured]
    stars: list[Star]
    hints: list[Hint]


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """The whole catalogue. `problem` says why nothing was measured, where the span store could not be asked."""

    models: list[Known]
    hints: list[Hint]
    problem: str


class Recommended(msgspec.Struct, frozen=True, kw_only=True):
    """Every model judged by the needs, those that fit first."""

    needs: Needs
    known_only: bool
    judgements: list[Judgement]


def shelf(asked: Visit) -> Shelf:
    """Every model, in the catalogue's order."""
    models = catalogue()
    merged, _ = merged_now(asked)
    calls, problem = _calls(asked)
    groups, simulated = _groups(calls, models, merged)
    speeds = _speeds(asked, groups)
    stars = list_stars(asked.services.records, project_id=asked.project_id)
    hints = list_hints(asked.services.records, project_id=asked.project_id)
    here = _here(models, merged, calls)
    found = [
        _known(
            asked,
            model,
            here=here.get(model.name, []),
            speed=speeds.get(model.name),
            simulated=model.name in simulated,
            stars=[star for star in stars if star.model == model.name],
            hints=sum(hint.model == model.name for hint in hints),
        )
        for model in models
    ]
    return Shelf(models=found, hints=hints, problem=problem)


def view(asked: Visit, name: str) -> tuple[ModelView, str]:
    """One model, however its name is written, and why nothing was measured (""). Raises NotFound."""
    models = catalogue()
    model = models.get(name)
    merged, _ = merged_now(asked)
    calls, problem = _calls(asked)
    ours = [call for call in calls if _meant(call, models) == model.name]
    groups, simulated = _groups(ours, models, merged)
    by_target = {(call.target, call.model): call.target for call in ours}
    targets = _speeds(asked, by_target)
    records, project = asked.services.records, asked.project_id
    stars = list_stars(records, project_id=project, model=model.name)
    hints = list_hints(records, project_id=project, model=model.name)
    known = _known(
        asked,
        model,
        here=_here(models, merged, calls).get(model.name, []),
        speed=_speeds(asked, groups).get(model.name),
        simulated=model.name in simulated,
        stars=stars,
        hints=len(hints),
    )
    measured = [
        Measured(target, _simulated(target, merged), speed) for target, speed in sorted(targets.items())
    ]
    return ModelView(known=known, targets=measured, stars=stars, hints=hints), problem


def recommended(asked: Visit, needs: Needs, *, known_only: bool) -> Recommended:
    """The catalogue judged by the needs, with the prices and providers of this installation."""
    models = catalogue()
    merged, _ = merged_now(asked)
    calls, _ = _calls(asked) if needs.here else ([], "")
    judgements = recommend(
        models,
        needs,
        quotes={model.name: _quotes(asked, model) for model in models},
        here=_here(models, merged, calls),
        today=datetime.fromtimestamp(asked.services.now() / 1e9, tz=UTC).date(),
        known_only=known_only,
    )
    return Recommended(needs=needs, known_only=known_only, judgements=judgements)


def _known(
    asked: Visit,
    model: Model,
    *,
    here: list[str],
    speed: Speed | None,
    simulated: bool,
    stars: Sequence[Star],
    hints: int,
) -> Known:
    quotes = _quotes(asked, model)
    rating = Rating(sum(star.stars for star in stars) / len(stars), len(stars)) if stars else None
    return Known(
        model=model,
        quotes=quotes,
        prices_agree=agree(quotes),
        here=here,
        speed=speed,
        simulated=simulated and speed is not None,
        rating=rating,
        hints=hints,
    )


def _quotes(asked: Visit, model: Model) -> tuple[Quote, ...]:
    return quotes_of(model, asked.services.in_force().file.prices, asked.services.now())


def _calls(asked: Visit) -> tuple[list[ModelCalls], str]:
    """What was called of late, and why that can't be told: the catalogue can be read without the span store."""
    try:
        return asked.services.spans().models_called(asked.project_id, since=_since(asked)), ""
    except RatchetError as error:
        return [], str(error)


def _speeds(asked: Visit, groups: Mapping[tuple[str, str], str]) -> dict[str, Speed]:
    if not groups:
        return {}
    try:
        return asked.services.spans().speed(asked.project_id, since=_since(asked), groups=groups)
    except RatchetError:  # `_calls` was answered a moment ago: it tells, or the next look does
        return {}


def _since(asked: Visit) -> int:
    return asked.services.now() - MEASURED_DAYS * _DAY


def _meant(call: ModelCalls, models: Catalogue) -> str | None:
    """The model that a call was about: by the name it answered with, else by the one it was asked under."""
    return models.match(call.model) or models.match(call.target.partition("/")[2])


def _groups(
    calls: Sequence[ModelCalls], models: Catalogue, merged: Merged
) -> tuple[dict[tuple[str, str], str], set[str]]:
    """Which calls tell of which model, and the models that only a simulator has answered for."""
    real: dict[tuple[str, str], str] = {}
    played: dict[tuple[str, str], str] = {}
    for call in calls:
        name = _meant(call, models)
        if name is not None:
            (played if _simulated(call.target, merged) else real)[call.target, call.model] = name
    simulated = set(played.values()) - set(real.values())
    return real | {pair: name for pair, name in played.items() if name in simulated}, simulated


def _simulated(target: str, merged: Merged) -> bool:
    provider = merged.providers.get(target.partition("/")[0])
    return provider is not None and provider.kind == "simulator"


def _here(models: Catalogue, merged: Merged, calls: Sequence[ModelCalls]) -> dict[str, list[str]]:
    """By model, the declared providers that serve it: their vendor makes it, a route has it as target, or it answered."""
    vendors: dict[str, list[str]] = {}
    for name, provider in merged.providers.items():
        if provider.kind == "simulator":
            continue
        url = str(provider.base_url or "")
        # An address that is no vendor's own serves what it serves, whatever its dialect.
        vendors.setdefault(vendor_of("", url, "") if url else vendor_of(provider.kind, "", name), []).append(
            name
        )
    found: dict[str, set[str]] = {
        model.name: set(vendors.get(VENDORS.get(model.provider.value or "", "?"), ()))
        for model in models
        if model.hosted
    }
    named = [target for route in merged.routes.values() for target in route.targets]
    served = [(target, models.match(target.partition("/")[2])) for target in named]
    served += [(call.target, _meant(call, models)) for call in calls]
    for target, name in served:
        provider = target.partition("/")[0]
        if name is not None and provider in merged.providers and not _simulated(target, merged):
            found.setdefault(name, set()).add(provider)
    return {name: sorted(providers) for name, providers in found.items()}
