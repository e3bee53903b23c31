"""Keys: the page, and the API for the command line. List, create, revoke."""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ratchet.domain.access import Key
from ratchet.domain.expiry import parse_expiry
from ratchet.domain.prompts import PREFIX
from ratchet.errors import InvalidRequest, RatchetError, Unavailable
from ratchet.store.records.keys import STUDIO, create_key, key_named, list_keys, revoke_key
from ratchet.store.records.prompts import list_prompts
from ratchet.store.spans import KeyUse
from ratchet.studio.declaring import list_declared
from ratchet.studio.exports import Column, export, export_format, moment
from ratchet.studio.rendering import json_response, page, see_other
from ratchet.studio.services import Visit
from ratchet.studio.visiting import Asked, Moment, Typed

__all__ = [
    "KeyRow",
    "NewKey",
    "add_key",
    "create_key_from_page",
    "keys_json",
    "keys_page",
    "remove_key",
    "revoke_key_from_page",
]

USE_WINDOW = 30 * 86_400 * 10**9
_COLUMNS: tuple[Column[KeyRow], ...] = (
    Column("name", lambda row: row.key.name),
    Column("key_id", lambda row: row.key.id),
    Column("prefix", lambda row: row.key.prefix),
    Column("state", lambda row: row.state),
    Column("routes", lambda row: row.key.routes),
    Column("origins", lambda row: row.key.origins),
    Column("last_used", lambda row: moment(row.use.last) if row.use else None),
    Column("spans_in_30_days", lambda row: row.use.spans if row.use else 0),
    Column("expires", lambda row: moment(row.key.expires)),
    Column("created", lambda row: moment(row.key.created)),
    Column("created_by", lambda row: row.key.created_by),
    Column("revoked", lambda row: moment(row.key.revoked)),
)


_MOST_ROUTES, _MOST_ORIGINS = 1000, 100


class NewKey(BaseModel):
    """A key to make. `routes` empty means every route; `expires` is in nanoseconds since the epoch.

    A `publishable` one is for browsers on pages at its `origins`.
    """

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=200)
    routes: list[str] = Field(default_factory=list[str], max_length=_MOST_ROUTES)
    expires: Moment | None = None
    publishable: bool = False
    origins: list[str] = Field(default_factory=list[str], max_length=_MOST_ORIGINS)


class KeyRow(msgspec.Struct, frozen=True):
    """A key as the page shows it. `use` is None where it was not used in the last 30 days."""

    key: Key
    state: str
    use: KeyUse | None


class KeyForm(msgspec.Struct, frozen=True):
    """What was typed into the form for a new key, and what is wrong with it, by field."""

    name: str = ""
    routes: tuple[str, ...] = ()
    others: str = ""
    expires: str = ""
    origins: str = ""
    errors: dict[str, str] = {}
    open: bool = False


def keys_json(asked: Asked, *, internal: bool = False, use: bool = False) -> Response:
    """Every key of the project, without secrets, newest first.

    With `internal`, those that the studio lent itself too; with `use`, each one's `last_used` (30 days back). With
    `format`, a file of them all.
    """
    if export_format(asked):
        return _export(asked, internal=internal)
    now = asked.services.now()
    rows, _ = _rows(asked, internal=internal, use=use)
    return json_response(
        [
            {**_shown(row.key, now), "last_used": row.use.last if row.use else None}
            if use
            else _shown(row.key, now)
            for row in rows
        ]
    )


def add_key(asked: Asked, body: NewKey) -> Response:
    """A new key. The secret in `key` is shown here and never again."""
    key, secret = _create(asked, **body.model_dump())
    return json_response({"key": secret, **_shown(key, asked.services.now())}, status=201)


def remove_key(asked: Asked, key_id: str) -> Response:
    """Revoke a key by its id or name; gateways refuse it within a second."""
    now = asked.services.now()
    key = revoke_key(asked.services.records, project_id=asked.project_id, name_or_id=key_id, now=now)
    return json_response(_shown(key, now))


def keys_page(asked: Asked) -> Response:
    """The list; with `?format=` the file of it."""
    if export_format(asked):
        return _export(asked, internal="internal" in asked.request.query_params)
    return _page(asked, KeyForm(open="new" in asked.request.query_params))


def create_key_from_page(asked: Asked, typed: Typed) -> Response:
    """The form for a new key. Its secret is on the page that answers, this once."""
    form = KeyForm(
        name="".join(typed.get("name", [])[:1]),
        routes=tuple(typed.get("routes", [])),
        others="".join(typed.get("others", [])[:1]),
        expires="".join(typed.get("expires", [])[:1]).strip(),
        origins="".join(typed.get("origins", [])[:1]).strip(),
        open=True,
    )
    others, origins = _names(form.others), _names(form.origins)
    try:
        expires = parse_expiry(form.expires, asked.services.now()) if form.expires else None
        key, secret = _create(
            asked,
            name=form.name,
            routes=[*form.routes, *others],
            expires=expires,
            publishable=bool(origins),
            origins=origins,
        )
    except RatchetError as error:
        field = error.param or "name"
        shown = msgspec.structs.replace(form, errors={field: f"{error.message} {error.remedy}"})
        return _page(asked, shown, status=error.status)
    return _page(asked, KeyForm(), made=(key, secret), status=201)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.replace("\n", ",").split(",") if name.strip()]


def revoke_key_from_page(asked: Asked, key_id: str) -> Response:
    key = key_named(asked.services.records, project_id=asked.project_id, name_or_id=key_id)
    revoke_key(
        asked.services.records, project_id=asked.project_id, name_or_id=key.id, now=asked.services.now()
    )
    return see_other(f"/keys?revoked={key.id}")


def _export(asked: Visit, *, internal: bool) -> Response:
    rows, problem = _rows(asked, internal=internal, use=True)
    if problem:  # a file that says "never used" for what is not known would be a lie
        raise Unavailable(f"When keys were used is not known: {problem}", "Try again when the store is back.")
    return export(asked, "keys", _COLUMNS, [rows], total=len(rows))


def _create(
    asked: Visit,
    *,
    name: str,
    routes: list[str],
    expires: int | None,
    publishable: bool,
    origins: list[str],
) -> tuple[Key, str]:
    for param, given, most in (("routes", routes, _MOST_ROUTES), ("origins", origins, _MOST_ORIGINS)):
        if len(given) > most:
            raise InvalidRequest(f"{len(given)} {param} are too many.", f"Give at most {most}.", param=param)
    return create_key(
        asked.services.records,
        project_id=asked.project_id,
        name=name,
        now=asked.services.now(),
        created_by=asked.member.email,
        routes=routes,
        expires=expires,
        publishable=publishable,
        origins=origins,
    )


def _page(asked: Visit, form: KeyForm, *, made: tuple[Key, str] | None = None, status: int = 200) -> Response:
    params = asked.request.query_params
    internal = "internal" in params
    rows, problem = _rows(asked, internal=internal, use=True)
    revoked = next((row.key for row in rows if row.key.id == params.get("revoked")), None)
    prompts = [
        f"{PREFIX}{each.name}" for each in list_prompts(asked.services.records, project_id=asked.project_id)
    ]
    routes = [each.name for each in list_declared(asked, "route")]
    providers = [f"{each.name}/*" for each in list_declared(asked, "provider")]
    return page(
        asked,
        "keys.html",
        status=status,
        rows=rows,
        store_problem=problem,
        internal=internal,
        form=form,
        offered=[*routes, *prompts, *providers],
        made=made,
        revoked=revoked,
        example_model=next(iter(routes), "simulator/shop-bot"),
        gateway_url=asked.services.gateway_url,
    )


def _rows(asked: Visit, *, internal: bool, use: bool) -> tuple[list[KeyRow], str]:
    """Keys, newest first, and why their use is not known, if it isn't."""
    now = asked.services.now()
    used: dict[str, KeyUse] = {}
    problem = ""
    if use:
        try:
            used = asked.services.spans().key_use(asked.project_id, since=now - USE_WINDOW)
        except RatchetError as error:  # keys can be seen and revoked without the span store
            problem = str(error)
    keys = list_keys(asked.services.records, project_id=asked.project_id)
    shown = [key for key in keys if internal or key.created_by != STUDIO]
    return [KeyRow(key, key.state(now), used.get(key.id)) for key in shown], problem


def _shown(key: Key, now: int) -> dict[str, Any]:
    columns: dict[str, Any] = msgspec.to_builtins(key)
    del columns["secret_hash"], columns["signing_secret"]
    return {**columns, "state": key.state(now)}
