"""Routes: pages and API."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ratchet.studio.declaring import change, create, drop, one_declared
from ratchet.studio.pages import declared
from ratchet.studio.rendering import json_response
from ratchet.studio.trying import try_it
from ratchet.studio.visiting import Asked, Typed

__all__ = [
    "NewRoute",
    "RouteChange",
    "RouteTrial",
    "add_route",
    "change_route",
    "create_route_from_page",
    "drop_route",
    "drop_route_from_page",
    "route_json",
    "route_page",
    "routes_json",
    "routes_page",
    "save_route_from_page",
    "try_route",
    "try_route_from_page",
]


class NewRoute(BaseModel):
    """A route to declare. `settings` are what `[routes.NAME]` in ratchet.toml would say."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=200)
    settings: dict[str, Any]


class RouteChange(BaseModel):
    """Settings to change; null takes one out. `seen` is the route's `updated` that the change was made from."""

    model_config = ConfigDict(extra="forbid")

    settings: dict[str, Any]
    seen: int | None = None


class RouteTrial(BaseModel):
    """One request to send: what to ask."""

    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(max_length=20_000)


def routes_json(asked: Asked, health: str = "") -> Response:
    """Every route, wherever it is declared. With `health` (`1h` or `24h`), how each did in that time."""
    return declared.list_json(asked, "route", health)


def route_json(asked: Asked, name: str) -> Response:
    """One route: where it is declared, and its settings."""
    return declared.one_json(asked, one_declared(asked, "route", name))


def add_route(asked: Asked, body: NewRoute) -> Response:
    """Declare a route; gateways serve it within a second."""
    return declared.one_json(asked, create(asked, "route", body.name, body.settings), status=201)


def change_route(asked: Asked, name: str, body: RouteChange) -> Response:
    """Change some settings of a route that the studio declares."""
    before = one_declared(asked, "route", name)
    settings = {
        key: value for key, value in {**before.settings, **body.settings}.items() if value is not None
    }
    return declared.one_json(asked, change(asked, "route", name, settings, seen=body.seen))


def drop_route(asked: Asked, name: str) -> Response:
    """Take out a route that the studio declares; gateways stop serving it within a second."""
    return json_response(drop(asked, "route", name))


def try_route(asked: Asked, name: str, body: RouteTrial) -> Response:
    """Send one real request to this route, through the gateway. It costs what it costs."""
    return json_response(try_it(asked, "route", name, body.prompt))


def routes_page(asked: Asked) -> Response:
    return declared.list_page(asked, "route")


def route_page(asked: Asked, name: str) -> Response:
    return declared.one_page(asked, "route", name)


def create_route_from_page(asked: Asked, typed: Typed) -> Response:
    return declared.create_from_page(asked, "route", typed)


def save_route_from_page(asked: Asked, name: str, typed: Typed) -> Response:
    return declared.save_from_page(asked, "route", name, typed)


def drop_route_from_page(asked: Asked, name: str) -> Response:
    return declared.drop_from_page(asked, "route", name)


def try_route_from_page(asked: Asked, name: str, typed: Typed) -> Response:
    return declared.try_from_page(asked, "route", name, typed)
