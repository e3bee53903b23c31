"""Providers: pages and API."""

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
    "NewProvider",
    "ProviderChange",
    "ProviderTrial",
    "add_provider",
    "change_provider",
    "create_provider_from_page",
    "drop_provider",
    "drop_provider_from_page",
    "provider_json",
    "provider_page",
    "providers_json",
    "providers_page",
    "save_provider_from_page",
    "try_provider",
    "try_provider_from_page",
]


class NewProvider(BaseModel):
    """A provider to declare. `settings` are what `[providers.NAME]` in ratchet.toml would say."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=200)
    settings: dict[str, Any]


class ProviderChange(BaseModel):
    """Settings to change; null takes one out. `seen` is the provider's `updated` that the change was made from."""

    model_config = ConfigDict(extra="forbid")

    settings: dict[str, Any]
    seen: int | None = None


class ProviderTrial(BaseModel):
    """One request to send: a model's name as the provider knows it, and what to ask."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(max_length=300)
    prompt: str = Field(max_length=20_000)


def providers_json(asked: Asked, health: str = "") -> Response:
    """Every provider, wherever it is declared. With `health` (`1h` or `24h`), how each did in that time."""
    return declared.list_json(asked, "provider", health)


def provider_json(asked: Asked, name: str) -> Response:
    """One provider: where it is declared, its settings, and whether the variable of its key is set."""
    return declared.one_json(asked, one_declared(asked, "provider", name))


def add_provider(asked: Asked, body: NewProvider) -> Response:
    """Declare a provider; gateways serve it within a second."""
    return declared.one_json(asked, create(asked, "provider", body.name, body.settings), status=201)


def change_provider(asked: Asked, name: str, body: ProviderChange) -> Response:
    """Change some settings of a provider that the studio declares."""
    before = one_declared(asked, "provider", name)
    settings = {
        key: value for key, value in {**before.settings, **body.settings}.items() if value is not None
    }
    return declared.one_json(asked, change(asked, "provider", name, settings, seen=body.seen))


def drop_provider(asked: Asked, name: str) -> Response:
    """Take out a provider that the studio declares. 409 while a route needs it."""
    return json_response(drop(asked, "provider", name))


def try_provider(asked: Asked, name: str, body: ProviderTrial) -> Response:
    """Send one real request to a model of this provider, through the gateway. It costs what it costs."""
    return json_response(try_it(asked, "provider", name, body.prompt, body.model))


def providers_page(asked: Asked) -> Response:
    return declared.list_page(asked, "provider")


def provider_page(asked: Asked, name: str) -> Response:
    return declared.one_page(asked, "provider", name)


def create_provider_from_page(asked: Asked, typed: Typed) -> Response:
    return declared.create_from_page(asked, "provider", typed)


def save_provider_from_page(asked: Asked, name: str, typed: Typed) -> Response:
    return declared.save_from_page(asked, "provider", name, typed)


def drop_provider_from_page(asked: Asked, name: str) -> Response:
    return declared.drop_from_page(asked, "provider", name)


def try_provider_from_page(asked: Asked, name: str, typed: Typed) -> Response:
    return declared.try_from_page(asked, "provider", name, typed)
