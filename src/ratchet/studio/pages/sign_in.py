"""Signing in and out: a one-time link, then a password or a token. Every sign-in starts a new session."""

from __future__ import annotations

from typing import Annotated

from fastapi import Form
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ratchet.domain.access import Member
from ratchet.errors import RatchetError, Unauthenticated
from ratchet.store.records.auditing import note
from ratchet.store.records.members import (
    accept_link,
    end_login,
    has_members,
    member_of_token,
    peek_link,
    start_login,
    verify_password,
)
from ratchet.studio.access import COOKIE, address_of_client, clear_login, keep_login
from ratchet.studio.navigation import HOME
from ratchet.studio.rendering import page, see_other
from ratchet.studio.services import Visit
from ratchet.studio.throttle import Throttle
from ratchet.studio.visiting import Asked

__all__ = ["Throttles", "sign_in", "sign_in_page", "sign_out", "welcome", "welcome_page"]


class Throttles:
    """Two counts of failures: one of an address with an account, one of an address alone."""

    def __init__(self, pair: Throttle, address: Throttle) -> None:
        self.pair = pair
        self.address = address

    def check(self, address: str, account: str) -> None:
        """Raises TooManyAttempts."""
        self.pair.check(f"{address} {account}")
        self.address.check(address)

    def failed(self, address: str, account: str) -> None:
        self.pair.failed(f"{address} {account}")
        self.address.failed(address)


class SignInForm(BaseModel):
    """An e-mail address and a password, or a token alone."""

    model_config = ConfigDict(extra="forbid")

    email: str = Field(default="", max_length=320)
    password: str = Field(default="", max_length=1000)
    token: str = Field(default="", max_length=200)
    next: str = Field(default="", max_length=4000)


class WelcomeForm(BaseModel):
    """What the holder of a one-time link chooses. `email` is ignored where the link names one."""

    model_config = ConfigDict(extra="forbid")

    email: str = Field(default="", max_length=320)
    password: str = Field(max_length=1000)


def sign_in_page(asked: Asked, next: str = "") -> Response:  # noqa: A002 (the parameter's name in the URL)
    if asked.signed_in is not None:
        return see_other(_inside(next))
    return _form(asked, target=next)


def sign_in(asked: Asked, form: Annotated[SignInForm, Form()]) -> Response:
    """Check the password or token; a wrong one is shown on the form and counted."""
    address = address_of_client(asked.request)
    account = form.email.strip().lower() or "token"
    throttles: Throttles = asked.request.app.state.throttles
    try:
        throttles.check(address, account)
        member = _check(asked, form)
    except Unauthenticated as error:
        throttles.failed(address, account)
        # What is no address may be a password that was typed into the wrong field.
        tried = form.email.strip().lower() if "@" in form.email else ""
        _note(asked, "sign_in.failed", tried, {"by": "token" if form.token else "password"})
        return _form(asked, target=form.next, email=form.email, error=error, by_token=bool(form.token))
    except RatchetError as error:
        return _form(asked, target=form.next, email=form.email, error=error, by_token=bool(form.token))
    throttles.pair.succeeded(f"{address} {account}")
    return _begin(asked, member, _inside(form.next), "token" if form.token else "password")


def sign_out(asked: Asked) -> Response:
    if secret := asked.request.cookies.get(COOKIE):
        end_login(asked.services.records, secret)
    if asked.signed_in is not None:
        _note(asked, "sign_out.done", asked.signed_in.email)
    answer = see_other("/sign-in")
    clear_login(asked.request, answer)
    return answer


def welcome_page(asked: Asked, token: str) -> Response:
    """The page behind a one-time link. Looking at it does not use it up."""
    email = peek_link(asked.services.records, token, now=asked.services.now())
    return page(asked, "welcome.html", token=token, link_email=email, email=email, error=None)


def welcome(asked: Asked, token: str, form: Annotated[WelcomeForm, Form()]) -> Response:
    """Use up the link: the account is made, or gets a new password, and is signed in."""
    records, now = asked.services.records, asked.services.now()
    link_email = peek_link(records, token, now=now)
    try:
        member = accept_link(records, token, email=form.email, password=form.password, now=now)
    except RatchetError as error:
        return page(
            asked,
            "welcome.html",
            status=error.status,
            token=token,
            link_email=link_email,
            email=link_email or form.email,
            error=error,
        )
    return _begin(asked, member, HOME, "link")


def _check(asked: Visit, form: SignInForm) -> Member:
    records, project = asked.services.records, asked.project_id
    if not form.token:
        return verify_password(records, project_id=project, email=form.email, password=form.password)
    member = member_of_token(records, form.token.strip(), project_id=project, now=asked.services.now())
    if member is None:
        raise Unauthenticated(
            "This token is not known, or has expired.", "Check it, or ask an admin for a new one."
        )
    return member


def _note(
    asked: Visit, action: str, email: str, after: dict[str, str] | None = None, who: str | None = None
) -> None:
    with asked.services.records.write() as connection:
        note(connection, action, email[:320], project_id=asked.project_id, who=who, after=after)


def _begin(asked: Visit, member: Member, target: str, by: str) -> Response:
    records = asked.services.records
    _note(asked, "sign_in.done", member.email, {"by": by}, who=member.email)
    # A new id at every sign-in, and the old one ends: an id planted in a browser beforehand is worth nothing.
    if old := asked.request.cookies.get(COOKIE):
        end_login(records, old)
    answer = see_other(target)
    keep_login(asked.request, answer, start_login(records, member, now=asked.services.now()))
    return answer


def _form(
    asked: Visit,
    *,
    target: str,
    email: str = "",
    error: RatchetError | None = None,
    by_token: bool = False,
) -> Response:
    return page(
        asked,
        "sign_in.html",
        status=error.status if error else 200,
        next=target,
        email=email,
        error=error,
        by_token=by_token,
        first_start=not has_members(asked.services.records),
    )


def _inside(target: str) -> str:
    """`target` when it is a path of the studio itself, else the start page."""
    if target.startswith("/") and not target.startswith(("//", "/\\")) and "\n" not in target:
        return target
    return HOME
