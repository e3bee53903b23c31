"""Which route a model name means, and whether a key may ask for it. Pure."""

from __future__ import annotations

import difflib

from ratchet.domain.access import Key
from ratchet.domain.prompts import PREFIX, PromptReference
from ratchet.errors import Forbidden, NotFound
from ratchet.gateway.snapshot import Route, Snapshot
from ratchet.gateway.targets import route_to

__all__ = ["allowed", "check_allowed", "find_route", "offered_models", "route_named"]


def find_route(snapshot: Snapshot, key: Key, model: str) -> Route:
    """The route called `model`, or one made for `provider/model`.

    Raises Forbidden where the key is limited to other routes, and NotFound where there is no such model.
    """
    check_allowed(key, model)
    return route_named(snapshot, model)


def check_allowed(key: Key, model: str) -> None:
    """Raises Forbidden where the key is limited to other routes."""
    if key.routes and not allowed(key, model):
        raise Forbidden(
            f"The key {key.name!r} may not use the model {model!r}.",
            f"It may use: {', '.join(key.routes)}. Ask for one of these, or create a key that allows it.",
            code="model_not_allowed",
            param="model",
        )


def route_named(snapshot: Snapshot, model: str) -> Route:
    """The route called `model`, or one made for `provider/model`. Raises NotFound."""
    route = snapshot.routes.get(model)
    if route is not None:
        return route
    provider_name, slash, upstream_model = model.partition("/")
    provider = snapshot.providers.get(provider_name)
    if slash and upstream_model and provider is not None:
        return route_to(provider, upstream_model, model, snapshot.health, snapshot.steps)
    raise NotFound(
        f"There is no model {model!r}.", _advice(snapshot, model), code="model_not_found", param="model"
    )


def allowed(key: Key, model: str) -> bool:
    """Whether the key's list of routes has this name, or `provider/*` for it, or a prompt whatever its version."""
    if not key.routes or model in key.routes:
        return True
    if model.startswith(PREFIX):
        reference = PromptReference.parse(model)
        return reference is not None and f"{PREFIX}{reference.name}" in key.routes
    provider, slash, _ = model.partition("/")
    return bool(slash) and f"{provider}/*" in key.routes


def offered_models(snapshot: Snapshot, key: Key) -> list[str]:
    """What this key may ask for by name: routes, prompts with their labels, then each provider as `provider/*`."""
    prompts = [
        f"{PREFIX}{name}{label and '@'}{label}"
        for name, labels in snapshot.prompts.offered(key.project_id)
        for label in ("", *labels)
    ]
    names = [*sorted(snapshot.routes), *prompts, *(f"{name}/*" for name in sorted(snapshot.providers))]
    return [name for name in names if not key.routes or name in key.routes or allowed(key, name)] + [
        name for name in key.routes if "/" in name and not name.endswith("/*")
    ]


def _advice(snapshot: Snapshot, model: str) -> str:
    routes = sorted(snapshot.routes)
    close = difflib.get_close_matches(model, routes, n=1)
    if close:
        return f"Did you mean {close[0]!r}?"
    known = (
        f"The routes are: {', '.join(routes[:10])}."
        if routes
        else "No route is declared in ratchet.toml yet."
    )
    providers = ", ".join(sorted(snapshot.providers))
    return f"{known} `provider/model` works too, with the providers {providers}."
