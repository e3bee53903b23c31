"""Which models fit what is needed: a form, the models that fit, and for every other one why not."""

from __future__ import annotations

from starlette.datastructures import QueryParams
from starlette.responses import Response

from ratchet.catalog.models import AS_OF, catalogue
from ratchet.errors import InvalidRequest
from ratchet.studio.choosing import Recommended, recommended
from ratchet.studio.needs import MODALITIES, read_needs
from ratchet.studio.rendering import json_response, page
from ratchet.studio.visiting import Asked

__all__ = ["recommend_json", "recommend_page"]

_LISTS = ("modality",)


def recommend_json(asked: Asked) -> Response:
    """Every model of the catalogue judged by the needs in the address: those that fit, then those with something to
    check, then those that fail, each with what was found and its source."""
    needs, known_only = read_needs(_typed(asked.request.query_params))
    return json_response(recommended(asked, needs, known_only=known_only))


def recommend_page(asked: Asked) -> Response:
    """The form, and under it what fits and what does not."""
    typed = _typed(asked.request.query_params)
    problem: InvalidRequest | None = None
    found: Recommended | None = None
    try:
        needs, known_only = read_needs(typed)
        found = recommended(asked, needs, known_only=known_only)
    except InvalidRequest as error:
        problem = error
    return page(
        asked,
        "recommend.html",
        status=problem.status if problem else 200,
        typed=typed,
        problem=problem,
        found=found,
        models={model.name: model for model in catalogue()},
        modalities=MODALITIES,
        as_of=AS_OF,
    )


def _typed(params: QueryParams) -> dict[str, str]:
    """A browser sends a parameter for each ticked box, a program one with commas."""
    return {
        name: ",".join(params.getlist(name)) if name in _LISTS else params[name]
        for name in params
        if params[name].strip()
    }
