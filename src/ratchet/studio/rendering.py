"""Turning data models into pages, fragments and JSON. One template environment, escaping everything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ratchet.domain.access import Member, Role
from ratchet.errors import RatchetError, Unauthenticated
from ratchet.store.spans import SpanHead
from ratchet.studio import formats, navigation
from ratchet.studio.assets import Asset
from ratchet.studio.failing import failure_words
from ratchet.studio.services import Visit
from ratchet.studio.views_menu import ViewsMenu, views_menu

__all__ = [
    "Pages",
    "error_response",
    "fragment",
    "is_fragment",
    "json_response",
    "page",
    "see_other",
    "wants_json",
]

THEME_COOKIE = "ratchet_theme"


class Pages:
    """The templates, and what every one of them may call."""

    def __init__(self, assets: Mapping[str, Asset]) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(Path(__file__).with_name("templates")),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update({name: getattr(formats, name) for name in formats.__all__})
        self._environment.filters["kind_mark"] = _kind_mark
        self._environment.filters["failure"] = failure_words
        everywhere: dict[str, Any] = {
            "asset": {name: asset.url for name, asset in assets.items()},
            "Role": Role,
        }
        self._environment.globals.update(everywhere)

    def render(self, template: str, request: Request, now: int, values: Mapping[str, Any]) -> str:
        theme = request.cookies.get(THEME_COOKIE, "")
        member: Member | None = request.state.member

        def menu_of(page: str, query: str) -> ViewsMenu:
            """The saved views of a list: a template asks, so that no page has to hand them in."""
            if member is None:
                raise LookupError("nobody is signed in, so there are no views")
            return views_menu(request.app.state.services, member, page, query)

        return self._environment.get_template(template).render(
            request_path=request.url.path,
            member=member,
            navigation=navigation.offered(member),
            views_menu=menu_of,
            theme=theme if theme in ("light", "dark") else "",
            now=now,
            **values,
        )


def _kind_mark(span: SpanHead) -> str:
    """The class that colours a span: km (model), kt (tool), ka (agent), ks (search), or "" for the rest."""
    if span.operation in ("invoke_agent", "create_agent", "invoke_workflow"):
        return "ka"
    if span.operation == "execute_tool":
        return "kt"
    if span.operation in ("embeddings", "retrieval", "rerank"):
        return "ks"
    return "km" if span.request_model or span.response_model else ""


def _pages(request: Request) -> Pages:
    return request.app.state.pages


class _Thumbs:
    """Tells templates whether scores of a name are thumbs. Looked up when the first one is shown."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._graded: frozenset[str] | None = None

    def __call__(self, name: str) -> bool:
        graded = self._graded
        if graded is None:
            graded = self._graded = self._visit.services.spans().graded_names(self._visit.project_id)
        return name not in graded


def page(visit: Visit, template: str, *, status: int = 200, **values: Any) -> Response:
    """A whole page, or a fragment of one, out of `template`."""
    values["is_thumb"] = _Thumbs(visit)
    text = _pages(visit.request).render(template, visit.request, visit.services.now(), values)
    return Response(text, status_code=status, media_type="text/html", headers={"vary": "hx-request, cookie"})


def fragment(visit: Visit, template: str, **values: Any) -> Response:
    """A piece of HTML for htmx to put into a page."""
    return page(visit, template, **values)


def json_response(value: Any, *, status: int = 200) -> Response:
    """`value` (structs, decimals as text) as JSON."""
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")


def see_other(url: str) -> Response:
    return RedirectResponse(url, status_code=303)


def is_fragment(request: Request) -> bool:
    """Whether htmx asks, rather than a person opening an address."""
    return request.headers.get("hx-request") == "true"


def wants_json(request: Request) -> bool:
    path = request.url.path
    if path.startswith("/api/") or path == "/healthz":
        return True
    accepts = request.headers.get("accept", "")
    return "application/json" in accepts and "text/html" not in accepts


def error_response(request: Request, error: RatchetError, *, now: int) -> Response:
    """The error as the asker can read it: JSON for programs, a fragment for htmx, a page for people."""
    if wants_json(request):
        body = {"error": {"code": error.reason, "message": error.message, "remedy": error.remedy}}
        if error.param:
            body["error"]["param"] = error.param
        return json_response(body, status=error.status)
    if isinstance(error, Unauthenticated) and error.reason == "not_signed_in":
        if is_fragment(request):
            return Response(status_code=401, headers={"hx-redirect": "/sign-in"})
        if request.method == "GET":
            return see_other(f"/sign-in?next={_quoted(request)}")
    template = "error_fragment.html" if is_fragment(request) else "error.html"
    text = _pages(request).render(template, request, now, {"error": error})
    return Response(text, status_code=error.status, media_type="text/html")


def _quoted(request: Request) -> str:
    return quote(request.url.path + (f"?{request.url.query}" if request.url.query else ""), safe="")
