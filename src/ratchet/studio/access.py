"""The gate in front of every page and API: who asks, from where, and whether their role is enough.

What is not in the table of `routes.py` can't be reached: the gate answers before any handler, and before a body is
read. Requests that change something must come from the studio's own pages (`Sec-Fetch-Site`, else `Origin`), or
carry a token, which no foreign page can make a browser send.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ratchet.domain.access import Member, Role
from ratchet.domain.auditing import Actor
from ratchet.errors import (
    BodyTooLarge,
    Forbidden,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    RatchetError,
    Unauthenticated,
)
from ratchet.store.records.auditing import acting, note
from ratchet.store.records.members import member_of_login, member_of_token
from ratchet.studio.description import Parameter
from ratchet.studio.services import StudioServices
from ratchet.studio.throttle import Throttle, TooManyAttempts

__all__ = [
    "COOKIE",
    "Endpoint",
    "Gate",
    "address_of_client",
    "check_same_origin",
    "clear_login",
    "keep_login",
    "nothing_at",
]

COOKIE = "ratchet_session"
COOKIE_SECONDS = 14 * 24 * 3600
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_LOCAL = "local"
_WRONG_TOKENS_NOTED = 30  # of one address, in the time that a throttle looks back


@dataclass(frozen=True)
class Endpoint:
    """One line of the table: a path that `role` and those above it may use. `role` None is for everyone.

    `query` are parameters that the handler reads from the address itself, `answers` the type of its JSON, `exports`
    whether `?format=csv` and `?format=json` answer with every row: see `description.py`. `max_body` is how many bytes
    a body may have where that is not what it is everywhere; `media` what else than JSON it may answer.
    """

    method: str
    path: str
    role: Role | None
    handler: Callable[..., Any]
    status: int = 200
    query: tuple[Parameter, ...] = ()
    answers: Any = None
    exports: bool = False
    max_body: int = 0
    media: tuple[str, ...] = ()

    @property
    def api(self) -> bool:
        """Whether programs ask for it, so that the description names it."""
        return self.path.startswith("/api/")

    def pattern(self) -> re.Pattern[str]:
        """The paths it answers, one group for each parameter."""
        return re.compile("^" + re.sub(r"\{\w+\}", "([^/]+)", self.path) + "$")


class Gate:
    """ASGI middleware that admits a request, or answers it with the refusal."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        endpoints: Sequence[Endpoint],
        services: StudioServices,
        refuse: Callable[[Request, RatchetError], Awaitable[Response]],
        open_prefix: str,
        max_body: int,
    ) -> None:
        """`refuse` renders an error; paths under `open_prefix` (static files) pass unchecked.

        A body larger than `max_body` bytes is refused, and so is one that does not say how large it is.
        """
        self._app = app
        self._services = services
        self._refuse = refuse
        self._open_prefix = open_prefix
        self._max_body = max_body
        self._wrong_tokens = Throttle(limit=_WRONG_TOKENS_NOTED, now=services.now)
        self._table = [(endpoint.pattern(), endpoint) for endpoint in endpoints]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(self._open_prefix):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        request.state.member = None
        try:
            request.state.member = await run_in_threadpool(self._who, request)
            endpoint = self._endpoint(scope["method"], scope["path"])
            _admit(request, endpoint.role)
            _check_size(request, endpoint.max_body or self._max_body)
        except RatchetError as error:
            await (await self._refuse(request, error))(scope, receive, send)
            return
        with acting(_actor(request, endpoint, self._services.now())):
            await self._app(scope, receive, send)

    def _endpoint(self, method: str, path: str) -> Endpoint:
        allowed: set[str] = set()
        for pattern, endpoint in self._table:
            if pattern.match(path):
                if endpoint.method == method:
                    return endpoint
                allowed.add(endpoint.method)
        if allowed:
            raise MethodNotAllowed(
                f"{method} is not something {path} can do.", f"It takes {', '.join(sorted(allowed))}."
            )
        raise nothing_at(path)

    def _who(self, request: Request) -> Member | None:
        services = self._services
        token = _bearer(request.headers)
        if token:
            if services.local_token and secrets.compare_digest(token.encode(), services.local_token.encode()):
                return Member(
                    id=_LOCAL,
                    email=_LOCAL,
                    project_id=services.project_id,
                    role=Role.ADMIN,
                    created=0,
                    has_password=False,
                )
            member = member_of_token(
                services.records, token, project_id=services.project_id, now=services.now()
            )
            if member is None:
                self._note_wrong_token(request)
                raise Unauthenticated(
                    "This token is not known, or has expired.",
                    "Ask an admin for a new one (`ratchet member token`).",
                    code="invalid_token",
                )
            return member
        cookie = request.cookies.get(COOKIE)
        if not cookie:
            return None
        return member_of_login(services.records, cookie, project_id=services.project_id, now=services.now())

    def _note_wrong_token(self, request: Request) -> None:
        """In the audit log, but for what one address tries again and again."""
        address = address_of_client(request)
        try:
            self._wrong_tokens.check(address)
        except TooManyAttempts:
            return
        self._wrong_tokens.failed(address)
        services = self._services
        with (
            acting(Actor("", "api", address, services.now())),
            services.records.write() as connection,
        ):
            note(connection, "sign_in.failed", "", project_id=services.project_id, after={"by": "token"})


def address_of_client(request: Request) -> str:
    """The other end of the connection; "" where there is none."""
    return request.client.host if request.client else ""


def _actor(request: Request, endpoint: Endpoint, now: int) -> Actor:
    member: Member | None = request.state.member
    who = member.email if member else ""
    via = "command" if who == _LOCAL else "api" if endpoint.api else "page"
    return Actor(who, via, address_of_client(request), now)


def _check_size(request: Request, most: int) -> None:
    length = request.headers.get("content-length", "")
    if "transfer-encoding" in request.headers and not length:
        raise InvalidRequest("The body does not say how long it is.", "Send it with a Content-Length.")
    if length.isdigit() and int(length[:19]) > most:
        raise BodyTooLarge(f"The body is larger than {most:,} bytes.", "Send less at once.")


def nothing_at(path: str) -> NotFound:
    if path.startswith("/api/"):
        return NotFound(f"The API has nothing at {path}.", "GET /api/openapi.json says what there is.")
    return NotFound(f"There is no page at {path}.", "Check the address, or start at one of the pages.")


def _admit(request: Request, role: Role | None) -> None:
    check_same_origin(request.method, request.headers)
    if role is None:
        return
    member: Member | None = request.state.member
    if member is None:
        raise Unauthenticated(
            "You are not signed in.",
            "Sign in, or send a member's token as `Authorization: Bearer …`.",
            code="not_signed_in",
        )
    if member.role < role:
        raise Forbidden(
            f"This needs the role {role.label}; {member.email} is {member.role.label}.",
            "Ask an admin of the project to change your role.",
        )


def check_same_origin(method: str, headers: Mapping[str, str]) -> None:
    """Raises Forbidden for a change that was asked for by another site's page, or by a browser that won't say.

    A request without a cookie carries no borrowed authority: it may leave both headers out, as curl does.
    """
    if method in _SAFE_METHODS:
        return
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        same = site in ("same-origin", "none")
    elif origin is not None:
        same = origin.partition("://")[2].lower() == headers.get("host", "").lower()
    else:
        same = "cookie" not in headers
    if not same:
        raise Forbidden(
            "This change was asked for by a page of another site.",
            "Do it on the studio's own pages, or send a token instead of a cookie.",
            code="cross_site",
        )


def _bearer(headers: Mapping[str, str]) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def keep_login(request: Request, response: Response, secret: str) -> None:
    """Set the session cookie: not readable by scripts, not sent by other sites, encrypted where the page is."""
    response.set_cookie(
        COOKIE,
        secret,
        max_age=COOKIE_SECONDS,
        httponly=True,
        samesite="lax",
        secure=_is_https(request),
        path="/",
    )


def clear_login(request: Request, response: Response) -> None:
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax", secure=_is_https(request))


def _is_https(request: Request) -> bool:
    # Behind a proxy that ends TLS the scheme here is http; the browser's own Origin still says https.
    return request.url.scheme == "https" or request.headers.get("origin", "").startswith("https://")
