"""Members: the page, and the API for the command line. List, invite, change a role, remove, give a token."""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ratchet.domain.access import Member, Role
from ratchet.domain.expiry import parse_expiry
from ratchet.errors import InvalidRequest, RatchetError
from ratchet.store.records.members import (
    create_link,
    create_token,
    invite_member,
    list_members,
    member_named,
    remove_member,
    set_role,
)
from ratchet.studio.exports import Column, export, export_format, moment
from ratchet.studio.rendering import json_response, page, see_other
from ratchet.studio.services import Visit
from ratchet.studio.visiting import Asked, Moment, Typed

__all__ = [
    "NewMember",
    "NewToken",
    "RoleChange",
    "add_link",
    "add_member",
    "add_token",
    "change_role",
    "change_role_from_page",
    "drop_member",
    "drop_member_from_page",
    "invite_from_page",
    "link_from_page",
    "members_json",
    "members_page",
    "token_from_page",
]


class NewMember(BaseModel):
    """Someone to invite. `role` is viewer, annotator, developer or admin."""

    model_config = ConfigDict(extra="forbid")

    email: str = Field(max_length=320)
    role: str = "viewer"


class RoleChange(BaseModel):
    """A member's new role."""

    model_config = ConfigDict(extra="forbid")

    role: str


class NewToken(BaseModel):
    """A token to make. `expires` is in nanoseconds since the epoch; none means that it lasts."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(default="api", min_length=1, max_length=200)
    expires: Moment | None = None


def members_json(asked: Asked) -> Response:
    """Every member of the project. With `format`, a file of them."""
    if export_format(asked):
        return _export(asked)
    return json_response(
        [_shown(member) for member in list_members(asked.services.records, project_id=asked.project_id)]
    )


def add_member(asked: Asked, body: NewMember) -> Response:
    """Invite someone. `link` is the page where they set a password: good once, for 24 hours."""
    member, link = _invite(asked, body.email, body.role)
    return json_response({**_shown(member), "link": link}, status=201)


def add_link(asked: Asked, email: str) -> Response:
    """A new one-time link for a member who forgot the password, or never used the first one."""
    member, link = _link(asked, email)
    return json_response({**_shown(member), "link": link}, status=201)


def change_role(asked: Asked, email: str, body: RoleChange) -> Response:
    member = set_role(asked.services.records, project_id=asked.project_id, email=email, role=_role(body.role))
    return json_response(_shown(member))


def drop_member(asked: Asked, email: str) -> Response:
    """Remove a member with their logins and tokens; the last admin stays."""
    return json_response(
        _shown(remove_member(asked.services.records, project_id=asked.project_id, email=email))
    )


def add_token(asked: Asked, email: str, body: NewToken | None = None) -> Response:
    """A token that stands for the member. It is shown here and never again."""
    wanted = body or NewToken(name="api")
    member, token = _token(asked, email, wanted)
    return json_response({"token": token, "email": member.email, "name": wanted.name}, status=201)


class Made(msgspec.Struct, frozen=True):
    """A secret that is shown once: a link or a token, and whose it is."""

    kind: str  # link | token
    email: str
    secret: str


class MemberForm(msgspec.Struct, frozen=True):
    """What was typed, and what is wrong with it. `about` is the member it concerns; "" for an invitation."""

    about: str = ""
    email: str = ""
    role: str = "viewer"
    name: str = ""
    expires: str = ""
    error: str = ""
    field: str = ""
    open: bool = False


def members_page(asked: Asked) -> Response:
    """The list; with `?format=` the file of it."""
    if export_format(asked):
        return _export(asked)
    return _page(asked, MemberForm(open="new" in asked.request.query_params))


def invite_from_page(asked: Asked, typed: Typed) -> Response:
    """The form for an invitation; the link is on the page that answers, this once."""
    form = MemberForm(email=_first(typed, "email"), role=_first(typed, "role") or "viewer", open=True)
    try:
        member, link = _invite(asked, form.email[:321], form.role)
    except RatchetError as error:
        return _page(asked, _failed(form, error, "email"), status=error.status)
    return _page(asked, MemberForm(), made=Made("link", member.email, _address(asked, link)), status=201)


def change_role_from_page(asked: Asked, email: str, typed: Typed) -> Response:
    form = MemberForm(about=email, role=_first(typed, "role"))
    try:
        set_role(asked.services.records, project_id=asked.project_id, email=email, role=_role(form.role))
    except RatchetError as error:
        return _page(asked, _failed(form, error, "role"), status=error.status)
    return see_other("/members")


def drop_member_from_page(asked: Asked, email: str) -> Response:
    try:
        remove_member(asked.services.records, project_id=asked.project_id, email=email)
    except RatchetError as error:
        return _page(asked, _failed(MemberForm(about=email), error, "remove"), status=error.status)
    return see_other("/members")


def link_from_page(asked: Asked, email: str) -> Response:
    """A new sign-in link, on the page that answers, this once."""
    member, link = _link(asked, email)
    return _page(asked, MemberForm(), made=Made("link", member.email, _address(asked, link)), status=201)


def token_from_page(asked: Asked, email: str, typed: Typed) -> Response:
    """A token, on the page that answers, this once."""
    form = MemberForm(about=email, name=_first(typed, "name"), expires=_first(typed, "expires").strip())
    try:
        expires = parse_expiry(form.expires, asked.services.now()) if form.expires else None
        wanted = NewToken(name=(form.name.strip() or "api")[:200], expires=expires)
        member, token = _token(asked, email, wanted)
    except RatchetError as error:
        return _page(asked, _failed(form, error, "expires"), status=error.status)
    return _page(asked, MemberForm(), made=Made("token", member.email, token), status=201)


_COLUMNS: tuple[Column[Member], ...] = (
    Column("email", lambda member: member.email),
    Column("role", lambda member: member.role.label),
    Column("created", lambda member: moment(member.created)),
    Column("has_password", lambda member: member.has_password),
    Column("member_id", lambda member: member.id),
)


def _export(asked: Visit) -> Response:
    members = list_members(asked.services.records, project_id=asked.project_id)
    return export(asked, "members", _COLUMNS, [members], total=len(members))


def _page(asked: Visit, form: MemberForm, *, made: Made | None = None, status: int = 200) -> Response:
    return page(
        asked,
        "members.html",
        status=status,
        members=list_members(asked.services.records, project_id=asked.project_id),
        roles=[role.label for role in Role],
        form=form,
        made=made,
    )


def _failed(form: MemberForm, error: RatchetError, field: str) -> MemberForm:
    return msgspec.structs.replace(form, error=f"{error.message} {error.remedy}", field=error.param or field)


def _first(typed: Typed, name: str) -> str:
    return "".join(typed.get(name, [])[:1])


def _address(asked: Visit, path: str) -> str:
    """The link as its reader's browser takes it: where the admin's own browser is."""
    return str(asked.request.base_url).rstrip("/") + path


def _invite(asked: Visit, email: str, role: str) -> tuple[Member, str]:
    member, secret = invite_member(
        asked.services.records,
        project_id=asked.project_id,
        email=email,
        role=_role(role),
        now=asked.services.now(),
    )
    return member, f"/welcome/{secret}"


def _link(asked: Visit, email: str) -> tuple[Member, str]:
    member = member_named(asked.services.records, project_id=asked.project_id, email=email)
    secret = create_link(
        asked.services.records,
        project_id=asked.project_id,
        email=member.email,
        role=member.role,
        now=asked.services.now(),
    )
    return member, f"/welcome/{secret}"


def _token(asked: Visit, email: str, wanted: NewToken) -> tuple[Member, str]:
    now = asked.services.now()
    if wanted.expires is not None and wanted.expires <= now:
        raise InvalidRequest(
            "The token would have expired already.", "Give a moment in the future.", param="expires"
        )
    member = member_named(asked.services.records, project_id=asked.project_id, email=email)
    token = create_token(asked.services.records, member, name=wanted.name, now=now, expires=wanted.expires)
    return member, token


def _role(name: str) -> Role:
    try:
        return Role.named(name)
    except KeyError:
        raise InvalidRequest(
            f"There is no role {name!r}.", "Use viewer, annotator, developer or admin.", param="role"
        ) from None


def _shown(member: Member) -> dict[str, Any]:
    return {**msgspec.to_builtins(member), "role": member.role.label}
