"""Members, for the CLI and the API: list, invite, change a role, remove, give a token."""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ratchet.domain.access import Member, Role
from ratchet.errors import InvalidRequest
from ratchet.store.records.members import (
    create_link,
    create_token,
    invite_member,
    list_members,
    member_named,
    remove_member,
    set_role,
)
from ratchet.studio.rendering import json_response
from ratchet.studio.visiting import Asked

__all__ = [
    "NewMember",
    "NewToken",
    "RoleChange",
    "add_link",
    "add_member",
    "add_token",
    "change_role",
    "drop_member",
    "members_json",
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
    expires: int | None = None


def members_json(asked: Asked) -> Response:
    """Every member of the project."""
    return json_response(
        [_shown(member) for member in list_members(asked.services.records, project_id=asked.project_id)]
    )


def add_member(asked: Asked, body: NewMember) -> Response:
    """Invite someone. `link` is the page where they set a password: good once, for 24 hours."""
    member, secret = invite_member(
        asked.services.records,
        project_id=asked.project_id,
        email=body.email,
        role=_role(body.role),
        now=asked.services.now(),
    )
    return json_response({**_shown(member), "link": f"/welcome/{secret}"}, status=201)


def add_link(asked: Asked, email: str) -> Response:
    """A new one-time link for a member who forgot the password, or never used the first one."""
    member = member_named(asked.services.records, project_id=asked.project_id, email=email)
    secret = create_link(
        asked.services.records,
        project_id=asked.project_id,
        email=member.email,
        role=member.role,
        now=asked.services.now(),
    )
    return json_response({**_shown(member), "link": f"/welcome/{secret}"}, status=201)


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
    now = asked.services.now()
    if wanted.expires is not None and wanted.expires <= now:
        raise InvalidRequest(
            "The token would have expired already.", "Give a moment in the future.", param="expires"
        )
    member = member_named(asked.services.records, project_id=asked.project_id, email=email)
    token = create_token(asked.services.records, member, name=wanted.name, now=now, expires=wanted.expires)
    return json_response({"token": token, "email": member.email, "name": wanted.name}, status=201)


def _role(name: str) -> Role:
    try:
        return Role.named(name)
    except KeyError:
        raise InvalidRequest(
            f"There is no role {name!r}.", "Use viewer, annotator, developer or admin.", param="role"
        ) from None


def _shown(member: Member) -> dict[str, Any]:
    return {**msgspec.to_builtins(member), "role": member.role.label}
