"""A request for a prompt: `model` is `prompt:NAME`, with a label or a version's number, and `variables` fill it in.

The version's messages come first, the app's own after them. What the request says itself wins over what the version
fixes; what neither says is left to the provider. From there on it is a request like any other.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from ratchet.dialects.prefixing import Fields
from ratchet.dialects.rewriting import fields_of
from ratchet.domain.prompts import PREFIX, PromptReference
from ratchet.errors import InvalidRequest, NotFound
from ratchet.gateway.exchange import Exchange
from ratchet.gateway.promptbook import Chosen
from ratchet.gateway.routing import check_allowed, find_route, route_named
from ratchet.gateway.snapshot import Route

__all__ = ["resolve_prompt"]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def resolve_prompt(exchange: Exchange) -> Route:
    """Render the prompt into the body, and say which route is meant.

    Raises Forbidden, NotFound, and InvalidRequest for variables that don't fit or a model that nobody names.
    """
    key, head = exchange.key, exchange.head
    assert key is not None  # noqa: S101 - `resolve` is called with both
    assert head is not None  # noqa: S101
    put_prompt = exchange.dialect.put_prompt
    if put_prompt is None:
        raise InvalidRequest(
            f"{head.model!r} is a prompt, and there is nothing to say to it here.",
            "Ask for prompts at /v1/chat/completions, /v1/responses or /v1/messages.",
            param="model",
        )
    check_allowed(key, head.model)
    reference = PromptReference.parse(head.model)
    if reference is None:
        raise NotFound(
            f"{head.model!r} names no prompt.",
            "Write prompt:NAME, prompt:NAME@LABEL or prompt:NAME#VERSION, such as prompt:support@production.",
            code="model_not_found",
            param="model",
        )
    entry = exchange.snapshot.prompts.entry(key.project_id, reference.name)
    chosen = exchange.prompt = entry.choose(reference, _subject(exchange))
    who = f"The prompt {chosen.name}"
    fields = fields_of(exchange.body)
    variables = _variables(fields, exchange)
    asked_for = _own_model(fields)
    compiled, defaults = chosen.prepared.compiled, chosen.prepared.defaults[exchange.dialect.name]
    if isinstance(compiled, InvalidRequest):
        raise compiled
    if isinstance(defaults, InvalidRequest):
        raise InvalidRequest(
            f"{who} fixes what this dialect can't say: {defaults.message}", defaults.remedy, param="model"
        )
    messages = compiled.render(variables, who=who)
    put_prompt(fields, [(message.role, message.content) for message in messages], defaults)
    route = _route(exchange, chosen, asked_for)
    fields["model"] = msgspec.Raw(_encode(route.name))
    exchange.body = _encode(fields)
    exchange.head = exchange.dialect.request_head(exchange.body)
    return route


def _route(exchange: Exchange, chosen: Chosen, asked_for: str) -> Route:
    snapshot, key = exchange.snapshot, exchange.key
    assert key is not None  # noqa: S101 - see above
    if asked_for:  # the app's own choice: it has to be one that its key allows
        return find_route(snapshot, key, asked_for)
    model = chosen.prepared.model
    if not model:
        raise InvalidRequest(
            f"Neither the prompt {chosen.name} nor the request names a model.",
            "Send `prompt_model` with a route or provider/model, or push a version that names one.",
            code="missing_required_parameter",
            param="prompt_model",
        )
    try:
        return route_named(snapshot, model)
    except NotFound as error:
        raise NotFound(
            f"The prompt {chosen.name} asks for the model {model!r}, and there is none of that name.",
            f"{error.remedy} Declare it, push a version that names another, or send `prompt_model`.",
            code="model_not_found",
            param="model",
        ) from error


def _subject(exchange: Exchange) -> str:
    """Whom a split sticks to: the user, else the session, else this request alone."""
    return exchange.caller.user or exchange.caller.session or exchange.trace_id


def _variables(fields: Fields, exchange: Exchange) -> dict[str, Any]:
    """Taken out of the fields, and kept for the record."""
    given = fields.pop("variables", None)
    if given is None or bytes(given) == b"null":
        return {}
    value = _decode(given)
    if not isinstance(value, dict):
        raise InvalidRequest(
            "`variables` in the request body has the wrong type: expected an object.",
            'Send {"variables": {"name": value, …}}; an OpenAI client takes it in `extra_body`.',
            code="invalid_type",
            param="variables",
        )
    exchange.variables = bytes(given)
    return cast("dict[str, Any]", value)


def _own_model(fields: Fields) -> str:
    """`prompt_model`, taken out of the fields: "" where the request leaves the choice to the version."""
    given = fields.pop("prompt_model", None)
    value = None if given is None else _decode(given)
    if value is not None and (not isinstance(value, str) or value.startswith(PREFIX)):
        raise InvalidRequest(
            "`prompt_model` in the request body is no model.",
            "Send a route or provider/model, or leave it out.",
            code="invalid_type",
            param="prompt_model",
        )
    return value or ""
