"""The API's description (OpenAPI 3.1), and the refusal of query parameters that are not in it.

FastAPI knows what a handler declares: its path, its body, its plain parameters. The table of endpoints adds what it
can't know: the parameters that a list reads from the address itself, and the type of the answer.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.dependencies.utils import get_dependant
from starlette.requests import Request

from ratchet.errors import InvalidRequest

__all__ = ["Described", "Parameter", "declared", "describe", "refuse_unknown"]

_REFERENCE = "#/components/schemas/{name}"


class Parameter(msgspec.Struct, frozen=True):
    """A query parameter that a handler reads from the address itself."""

    name: str
    says: str
    schema: Mapping[str, Any] = MappingProxyType({"type": "string"})


class ErrorDetail(msgspec.Struct, frozen=True, omit_defaults=True):
    """What happened to which named thing, and what to do about it. `param` names the field to blame."""

    code: str
    message: str
    remedy: str
    param: str = ""


class ErrorAnswer(msgspec.Struct, frozen=True):
    error: ErrorDetail


class Described(msgspec.Struct, frozen=True):
    """One request of the API, as the description needs it."""

    method: str
    path: str
    status: int
    query: tuple[Parameter, ...]
    answers: Any  # the type of the JSON it answers, or None where any JSON may come
    exports: bool  # whether `format=csv` and `format=json` answer with every row
    media: tuple[str, ...] = ()  # what else than JSON it may answer


def declared(path: str, handler: Callable[..., Any]) -> frozenset[str]:
    """The query parameters that a handler's own signature names."""
    return frozenset(field.alias for field in get_dependant(path=path, call=handler).query_params)


def refuse_unknown(known: Iterable[str]) -> Callable[[Request], None]:
    """A dependency that raises InvalidRequest for a query parameter which is not `known`, with the nearest that is.

    A misspelt filter that is left out in silence answers another question than the one that was asked.
    """
    names = sorted(known)

    def check(request: Request) -> None:
        for name in request.query_params:
            if name in names:
                continue
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
            takes = f"It takes {', '.join(names)}." if names else "It takes none."
            raise InvalidRequest(
                f"There is no parameter {name!r} here.",
                f"Did you mean {near[0]}? {takes}" if near else takes,
                param=name,
            )

    return check


def describe(app: FastAPI, endpoints: Iterable[Described]) -> dict[str, Any]:
    """The whole document. FastAPI's own part is made first and then completed."""
    document: dict[str, Any] = app.openapi()
    listed = list(endpoints)
    types = [each.answers for each in listed if each.answers is not None]
    schemas, components = msgspec.json.schema_components([ErrorAnswer, *types], ref_template=_REFERENCE)
    answers = iter(schemas[1:])
    for each in listed:
        operation = document["paths"][each.path][each.method.lower()]
        operation["parameters"] = operation.get("parameters", []) + [
            {
                "name": one.name,
                "in": "query",
                "required": False,
                "description": one.says,
                "schema": dict(one.schema),
            }
            for one in each.query
        ]
        content: dict[str, Any] = {
            "application/json": {"schema": {} if each.answers is None else next(answers)}
        }
        if each.exports:
            plain = content["application/json"]["schema"]
            content["application/json"]["schema"] = {"anyOf": [plain, {"type": "array"}]}
            content["text/csv"] = {"schema": {"type": "string"}}
        content.update({media: {"schema": {"type": "string"}} for media in each.media})
        operation["responses"] = {
            str(each.status): {"description": "As asked.", "content": content},
            "default": {
                "description": "An error: what happened, and what to do about it.",
                "content": {"application/json": {"schema": schemas[0]}},
            },
        }
    kept = {
        name: one for name, one in document.get("components", {}).get("schemas", {}).items() if not _own(name)
    }
    document["components"] = {
        "schemas": {**kept, **components},
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    }
    document["security"] = [{"token": []}]
    return document


def _own(name: str) -> bool:
    """FastAPI's description of errors that this API never gives."""
    return name in ("HTTPValidationError", "ValidationError")
