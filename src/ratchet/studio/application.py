"""The studio's application, put together from the table of endpoints."""

from __future__ import annotations

from functools import cache
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response

import ratchet
from ratchet.config import expectation
from ratchet.errors import BodyTooLarge, Bug, InvalidRequest, MethodNotAllowed, RatchetError
from ratchet.studio.access import Endpoint, Gate, nothing_at
from ratchet.studio.asking_gateway import GatewayLine
from ratchet.studio.assets import STATIC_PREFIX, load_assets, static_app
from ratchet.studio.description import Described, declared, describe, refuse_unknown
from ratchet.studio.headers import HeadRequests, SecurityHeaders, add_security_headers
from ratchet.studio.pages.sign_in import Throttles
from ratchet.studio.recent_facets import RecentFacets
from ratchet.studio.rendering import Pages, error_response
from ratchet.studio.routes import ENDPOINTS
from ratchet.studio.services import StudioServices
from ratchet.studio.throttle import Throttle

__all__ = ["studio_app"]

MAX_BODY = 1 << 20
_FAILURES_AN_ACCOUNT = 5
_FAILURES_AN_ADDRESS = 30


def studio_app(services: StudioServices) -> FastAPI:
    """The web application: pages and JSON API over `services`. It opens nothing and starts nothing by itself."""
    assets = load_assets()

    async def refuse(request: Request, error: RatchetError) -> Response:
        return error_response(request, error, now=services.now())

    app = FastAPI(
        title="ratchet studio",
        version=ratchet.__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,  # the description is behind a role: see `routes.py`
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(HeadRequests),
            Middleware(GZipMiddleware, minimum_size=1000, compresslevel=5),
            Middleware(
                Gate,
                endpoints=ENDPOINTS,
                services=services,
                refuse=refuse,
                open_prefix=STATIC_PREFIX,
                max_body=MAX_BODY,
            ),
        ],
    )
    app.state.services = services
    app.state.pages = Pages(assets)
    app.state.facets = RecentFacets()
    app.state.gateway = GatewayLine()
    app.state.throttles = Throttles(
        Throttle(limit=_FAILURES_AN_ACCOUNT, now=services.now),
        Throttle(limit=_FAILURES_AN_ADDRESS, now=services.now),
    )
    app.mount(STATIC_PREFIX, static_app(assets))
    for endpoint in ENDPOINTS:
        _add(app, endpoint)
    app.state.description = cache(lambda: _description(app))
    _answer_errors(app, services)
    return app


def _add(app: FastAPI, endpoint: Endpoint) -> None:
    known = declared(endpoint.path, endpoint.handler) | {one.name for one in endpoint.query}
    app.add_api_route(
        endpoint.path,
        endpoint.handler,
        methods=[endpoint.method],
        status_code=endpoint.status,
        response_model=None,
        include_in_schema=endpoint.api,
        dependencies=[Depends(refuse_unknown(known))] if endpoint.api else [],
    )


def _description(app: FastAPI) -> dict[str, Any]:
    return describe(
        app,
        [
            Described(each.method, each.path, each.status, each.query, each.answers, each.exports, each.media)
            for each in ENDPOINTS
            if each.api
        ],
    )


def _answer_errors(app: FastAPI, services: StudioServices) -> None:
    def answer(request: Request, error: RatchetError) -> Response:
        return error_response(request, error, now=services.now())

    @app.exception_handler(RatchetError)
    async def known(request: Request, error: RatchetError) -> Response:
        return answer(request, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        return answer(request, _described(error.errors()))

    @app.exception_handler(HTTPException)
    async def plain(request: Request, error: HTTPException) -> Response:
        return answer(request, _translated(request, error))

    # The server still logs the traceback: Starlette raises the exception again after this answer is sent.
    @app.exception_handler(Exception)
    async def unknown(request: Request, _error: Exception) -> Response:
        bug = Bug("Something went wrong in the studio.", "The server's log says more; please report it.")
        return add_security_headers(answer(request, bug))


def _described(problems: Any) -> InvalidRequest:
    """The first problem of a body or parameter, in one sentence that names the field."""
    first: dict[str, Any] = problems[0]
    steps = [str(step) for step in first["loc"]]
    where = ".".join(steps[1:] if steps[:1] in (["body"], ["query"], ["path"]) else steps)
    if first["type"] == "json_invalid":
        return InvalidRequest("The body is not JSON.", "Send a JSON object.")
    reason = expectation(first)
    if not where:
        return InvalidRequest(
            f"The body is wrong: {reason}.", "Send the fields that the API's description names."
        )
    return InvalidRequest(
        f"{where} is wrong: {reason}.", "Correct that field and send it again.", param=where
    )


def _translated(request: Request, error: HTTPException) -> RatchetError:
    if error.status_code == 404:
        return nothing_at(request.url.path)
    if error.status_code == 405:
        return MethodNotAllowed(f"{request.method} is not something {request.url.path} can do.", "Try GET.")
    if error.status_code == 413:
        return BodyTooLarge(f"The body is larger than {MAX_BODY:,} bytes.", "Send less at once.")
    return InvalidRequest(str(error.detail), "Check what was sent.")
