"""Keys, for the CLI and the API: list, create, revoke."""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ratchet.domain.access import Key
from ratchet.store.records.keys import create_key, list_keys, revoke_key
from ratchet.studio.rendering import json_response
from ratchet.studio.visiting import Asked

__all__ = ["NewKey", "add_key", "keys_json", "remove_key"]


class NewKey(BaseModel):
    """A key to make. `routes` empty means every route; `expires` is in nanoseconds since the epoch."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=200)
    routes: list[str] = Field(default_factory=list[str], max_length=1000)
    expires: int | None = None


def keys_json(asked: Asked) -> Response:
    """Every key of the project, without secrets, newest first."""
    now = asked.services.now()
    keys = list_keys(asked.services.records, project_id=asked.project_id)
    return json_response([_shown(key, now) for key in keys])


def add_key(asked: Asked, body: NewKey) -> Response:
    """A new key. The secret in `key` is shown here and never again."""
    now = asked.services.now()
    key, secret = create_key(
        asked.services.records,
        project_id=asked.project_id,
        name=body.name,
        now=now,
        created_by=asked.member.email,
        routes=body.routes,
        expires=body.expires,
    )
    return json_response({"key": secret, **_shown(key, now)}, status=201)


def remove_key(asked: Asked, key_id: str) -> Response:
    """Revoke a key by its id or name; gateways refuse it within a second."""
    now = asked.services.now()
    key = revoke_key(asked.services.records, project_id=asked.project_id, name_or_id=key_id, now=now)
    return json_response(_shown(key, now))


def _shown(key: Key, now: int) -> dict[str, Any]:
    columns: dict[str, Any] = msgspec.to_builtins(key)
    del columns["secret_hash"]
    return {**columns, "state": key.state(now)}
