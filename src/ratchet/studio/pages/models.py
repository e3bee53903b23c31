"""Models of the catalogue: a list to sort, filter and compare, one with all its facts, and the stars members give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import unquote, urlencode

import msgspec
from fastapi import File, Form, UploadFile
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ratchet.catalog.leaderboards import Matched, Unmatched, check_line, match_lines, read_lines
from ratchet.catalog.models import AS_OF, FACTS, Model, catalogue
from ratchet.catalog.quotes import Quote
from ratchet.domain.access import Role
from ratchet.domain.stars import Hint, Star
from ratchet.errors import InvalidRequest, RatchetError
from ratchet.store.records.opinions import give_stars, keep_hints, take_back_stars
from ratchet.studio.choosing import MEASURED_DAYS, Known, ModelView, Shelf, shelf, view
from ratchet.studio.description import Parameter
from ratchet.studio.exports import FORMAT, Column, export, export_format, milliseconds
from ratchet.studio.formats import segment
from ratchet.studio.listing import Heading, Order, order_of
from ratchet.studio.model_chart import CHARTS, chart_of
from ratchet.studio.rendering import json_response, page, see_other
from ratchet.studio.services import Visit
from ratchet.studio.visiting import Asked

__all__ = [
    "MODELS_QUERY",
    "Imported",
    "NewStars",
    "Scores",
    "compare_page",
    "drop_stars",
    "give_stars_from_page",
    "import_scores",
    "import_scores_from_page",
    "model_json",
    "model_page",
    "models_json",
    "models_page",
    "set_stars",
]

_DEFAULT = "listed"
_MOST_COMPARED = 6
_MOST_LINES = 2000


def _price(known: Known, kind: str) -> Any:
    return getattr(known.price, kind) if known.price else None


# What can be sorted by; None comes last, whichever way.
_ORDERS: dict[str, Callable[[Known], Any]] = {
    _DEFAULT: lambda _: 0,
    "name": lambda known: known.model.name.casefold(),
    "context": lambda known: known.model.context_tokens.value,
    "output": lambda known: known.model.max_output_tokens.value,
    "input_price": lambda known: _price(known, "input"),
    "output_price": lambda known: _price(known, "output"),
    "parameters": lambda known: known.model.parameters_b.value,
    "speed": lambda known: known.speed.tokens_per_second if known.speed else None,
    "latency": lambda known: known.speed.latency_p50 if known.speed else None,
    "stars": lambda known: known.rating.mean if known.rating else None,
}
HEADINGS = (
    Heading("name", "Model", "name", rising=True),
    Heading("context", "Context", "context", numeric=True),
    Heading("output", "Output", "output", numeric=True),
    Heading("price", "Price, in · out", "output_price", numeric=True, rising=True),
    Heading("takes", "Takes"),
    Heading("licence", "Licence"),
    Heading("tuning", "Fine-tunable"),
    Heading("data", "Data goes"),
    Heading("speed", "Speed here", "speed", numeric=True),
    Heading("stars", "Stars", "stars", numeric=True),
)
# A filter holds where the fact is known and is that: what is unknown is in no filtered list.
_EXACT = {
    "provider": "Who makes it.",
    "status": "current, deprecated or historical.",
    "licence_class": "permissive, restricted, non_commercial or proprietary.",
    "fine_tunable": "weights, api or no.",
    "data_location": "anywhere or provider_api.",
}
_STATED = {
    "tools": "It is stated to call tools.",
    "structured_output": "It is stated to keep to a JSON Schema.",
    "reasoning": "It is stated to reason.",
}
MODELS_QUERY = (
    Parameter("q", "Words in its name, provider or family."),
    *(Parameter(name, says) for name, says in _EXACT.items()),
    *(Parameter(name, says, {"type": "string", "enum": ["", "1"]}) for name, says in _STATED.items()),
    Parameter("modality", "What it is documented to take: text, image, audio or video."),
    Parameter(
        "here", "A provider declared here serves it, or it was called.", {"type": "string", "enum": ["", "1"]}
    ),
    Parameter("sort", "What to sort by.", {"type": "string", "enum": ["", *_ORDERS]}),
    Parameter("order", "Which way.", {"type": "string", "enum": ["", "asc", "desc"]}),
    FORMAT,
)


def _fact(name: str) -> Column[Known]:
    return Column(name, lambda known: getattr(known.model, name).value)


def _quoted(kind: str) -> Callable[[Known], Any]:
    return lambda known: _price(known, kind)


_COLUMNS: tuple[Column[Known], ...] = (
    Column("name", lambda known: known.model.name),
    *(_fact(name) for name in FACTS),
    Column("billed_input_usd_per_mtok", _quoted("input")),
    Column("billed_output_usd_per_mtok", _quoted("output")),
    Column("prices_agree", lambda known: known.prices_agree),
    Column("served_here_by", lambda known: known.here),
    Column("calls_30d", lambda known: known.speed.calls if known.speed else 0),
    Column("simulated", lambda known: known.simulated),
    Column("latency_p50_ms", lambda known: milliseconds(known.speed.latency_p50) if known.speed else None),
    Column("latency_p95_ms", lambda known: milliseconds(known.speed.latency_p95) if known.speed else None),
    Column("first_token_p50_ms", lambda known: milliseconds(known.speed.ttft_p50) if known.speed else None),
    Column("tokens_per_second", lambda known: known.speed.tokens_per_second if known.speed else None),
    Column("stars", lambda known: known.rating.mean if known.rating else None),
    Column("stars_count", lambda known: known.rating.count if known.rating else 0),
)


class NewStars(BaseModel):
    """A member's opinion: 1 to 5, and why."""

    model_config = ConfigDict(extra="forbid")

    stars: int
    comment: str = Field(default="", max_length=4000)


class ScoreLine(BaseModel):
    """One line of a leaderboard."""

    model_config = ConfigDict(extra="forbid")

    model: str
    benchmark: str
    score: float
    date: str
    source: str


class Scores(BaseModel):
    """Lines of a leaderboard; they are kept all or none."""

    model_config = ConfigDict(extra="forbid")

    lines: list[ScoreLine] = Field(max_length=_MOST_LINES)


class Imported(msgspec.Struct, frozen=True):
    """What came of it: the scores that are kept, and the names that are none of the catalogue's."""

    kept: list[Hint]
    unmatched: list[Unmatched]


class Bar(msgspec.Struct, frozen=True):
    """The list's filters as they stand, and the address of the same list with others."""

    params: Mapping[str, str]

    def href(self, **changes: str) -> str:
        query = urlencode({name: text for name, text in {**self.params, **changes}.items() if text})
        return f"/models?{query}" if query else "/models"

    @property
    def query(self) -> str:
        """What stands behind the `?`."""
        return self.href().partition("?")[2]

    @property
    def filtered(self) -> bool:
        """Whether anything is left out."""
        return any(name not in ("sort", "order", "chart") for name in self.params)


def _chosen(asked: Visit) -> tuple[Bar, Order, Shelf, list[Known]]:
    """The models that the address asks for, in its order. Raises InvalidRequest naming a wrong parameter."""
    given = asked.request.query_params
    names = [*(one.name for one in MODELS_QUERY if one.name != "format"), "chart"]
    params = {name: given[name].strip() for name in names if given.get(name, "").strip()}
    order = order_of(params, tuple(_ORDERS), _DEFAULT)
    everything = shelf(asked)
    found = [known for known in everything.models if _fits(known, params)]
    key = _ORDERS[order.sort]
    told = [known for known in found if key(known) is not None]
    told.sort(key=key, reverse=not order.ascending and order.sort != _DEFAULT)
    return Bar(params), order, everything, told + [known for known in found if key(known) is None]


def _fits(known: Known, params: Mapping[str, str]) -> bool:
    model = known.model
    words = params.get("q", "").casefold().split()
    text = f"{model.name} {model.provider.value} {model.family.value}".casefold()
    return (
        all(word in text for word in words)
        and all(
            str(getattr(model, name).value).casefold() == params[name].casefold()
            for name in _EXACT
            if name in params
        )
        and all(getattr(model, name).value is True for name in _STATED if name in params)
        and params.get("modality", "text") in (model.modalities_in.value or ())
        and ("here" not in params or bool(known.here or known.speed))
    )


def _choices(models: Sequence[Known]) -> dict[str, list[str]]:
    """What the filters offer: the values that there are."""
    offered = {name: {getattr(known.model, name).value for known in models} for name in _EXACT}
    return {
        name: sorted(str(value) for value in values if value is not None) for name, values in offered.items()
    }


def models_json(asked: Asked) -> Response:
    """Every model of the catalogue that the filters leave, with what is known of it here. With `format`, a file."""
    if export_format(asked):
        return _export(asked)
    return json_response(_chosen(asked)[3])


def _export(asked: Visit) -> Response:
    found = _chosen(asked)[3]
    return export(asked, "models", _COLUMNS, [found], total=len(found))


def models_page(asked: Asked) -> Response:
    """The list, its filters, and a chart where there is something to draw."""
    if export_format(asked):
        return _export(asked)
    return _list_page(asked)


def _list_page(
    asked: Visit,
    *,
    imported: Matched | None = None,
    problem: RatchetError | None = None,
    status: int = 200,
) -> Response:
    bar, order, everything, found = _chosen(asked)
    chart, charts = chart_of(found, everything.hints, bar.params.get("chart", ""))
    return page(
        asked,
        "models.html",
        status=status,
        bar=bar,
        order=order,
        columns=HEADINGS,
        models=found,
        total=len(everything.models),
        choices=_choices(everything.models),
        store_problem=everything.problem,
        chart=chart,
        charts=charts,
        chart_names=CHARTS,
        as_of=AS_OF,
        days=MEASURED_DAYS,
        imported=imported,
        import_problem=problem,
        may_import=asked.member.role >= Role.DEVELOPER,
    )


def model_json(asked: Asked, name: str) -> Response:
    """One model: its facts with their sources, every price, its speed here, stars, and imported scores."""
    return json_response(view(asked, unquote(name))[0])


def model_page(asked: Asked, name: str) -> Response:
    """One model with everything that is known of it."""
    return _one_page(asked, unquote(name))


def _one_page(
    asked: Visit, name: str, *, problem: RatchetError | None = None, typed: NewStars | None = None
) -> Response:
    shown, store_problem = view(asked, name)
    mine = next((star for star in shown.stars if star.member == asked.member.email), None)
    return page(
        asked,
        "model.html",
        status=problem.status if problem else 200,
        shown=shown,
        model=shown.known.model,
        labels=FACTS,
        quotes=_told_apart(shown),
        mine=mine,
        typed=typed,
        problem=problem,
        store_problem=store_problem,
        days=MEASURED_DAYS,
        as_of=AS_OF,
        may_rate=asked.member.role >= Role.ANNOTATOR,
        saved="saved" in asked.request.query_params,
    )


def _told_apart(shown: ModelView) -> list[tuple[Quote, dict[str, bool]]]:
    """Each price with the kinds of tokens about which the sources differ."""
    quotes = shown.known.quotes
    differ = {
        kind: len({value for quote in quotes if (value := getattr(quote, kind)) is not None}) > 1
        for kind in ("input", "cached", "output")
    }
    return [(quote, differ) for quote in quotes]


def compare_page(asked: Asked) -> Response:
    """Chosen models side by side, fact by fact."""
    names = list(dict.fromkeys(asked.request.query_params.getlist("model")))[:_MOST_COMPARED]
    known = {each.model.name: each for each in shelf(asked).models}
    chosen: list[Model] = [catalogue().get(name) for name in names]
    return page(
        asked,
        "models_compare.html",
        models=[known[model.name] for model in chosen],
        labels=FACTS,
        most=_MOST_COMPARED,
        days=MEASURED_DAYS,
    )


def set_stars(asked: Asked, name: str, body: NewStars) -> Response:
    """Your stars for a model, and why; given again, the new ones count."""
    return json_response(_give(asked, catalogue().get(unquote(name)).name, body), status=201)


def drop_stars(asked: Asked, name: str) -> Response:
    """Take your stars back."""
    model = catalogue().get(unquote(name)).name
    take_back_stars(
        asked.services.records, project_id=asked.project_id, model=model, member=asked.member.email
    )
    return json_response({"model": model})


def give_stars_from_page(
    asked: Asked, name: str, stars: Annotated[str, Form()] = "", comment: Annotated[str, Form()] = ""
) -> Response:
    """The form on a model's page; without stars it takes them back."""
    model = catalogue().get(unquote(name)).name
    if not stars:
        take_back_stars(
            asked.services.records, project_id=asked.project_id, model=model, member=asked.member.email
        )
        return see_other(f"/models/{segment(model)}?saved=1#stars")
    typed = NewStars(stars=int(stars) if stars.isdecimal() and len(stars) == 1 else 0, comment=comment[:4000])
    try:
        _give(asked, model, typed)
    except InvalidRequest as error:
        return _one_page(asked, model, problem=error, typed=typed)
    return see_other(f"/models/{segment(model)}?saved=1#stars")


def _give(asked: Visit, model: str, body: NewStars) -> Star:
    return give_stars(
        asked.services.records,
        project_id=asked.project_id,
        model=model,
        member=asked.member.email,
        stars=body.stars,
        comment=body.comment,
        now=asked.services.now(),
    )


def import_scores(asked: Asked, body: Scores) -> Response:
    """Keep scores of public leaderboards, as hints; answers which are kept and which names matched no model."""
    lines = [
        check_line(line.model, line.benchmark, line.score, line.date, line.source) for line in body.lines
    ]
    found = match_lines(lines, catalogue(), now=asked.services.now(), by=asked.member.email)
    keep_hints(asked.services.records, found.hints, project_id=asked.project_id)
    return json_response(Imported(found.hints, found.unmatched), status=201)


def import_scores_from_page(asked: Asked, file: Annotated[UploadFile, File()]) -> Response:
    """The upload on the list's page."""
    content = file.file.read()
    try:
        found = match_lines(
            read_lines(_decoded(content)), catalogue(), now=asked.services.now(), by=asked.member.email
        )
        keep_hints(asked.services.records, found.hints, project_id=asked.project_id)
    except InvalidRequest as error:
        return _list_page(asked, problem=error, status=error.status)
    return _list_page(asked, imported=found)


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest("The file is not UTF-8.", "Save it as CSV in UTF-8.", param="file") from error
