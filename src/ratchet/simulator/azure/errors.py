"""Azure's errors and keys. What its front end refuses has a short error; what the model refuses has OpenAI's."""

from __future__ import annotations

import re
from typing import Any

from ratchet.simulator.exchange import Exchange
from ratchet.simulator.faults import Fault
from ratchet.simulator.openai import errors as openai
from ratchet.simulator.outcomes import Headers, Outcome, shaped
from ratchet.simulator.wire import Rejected, Vendor, encode

__all__ = ["DEPLOYMENTS", "HEADERS", "NEXT", "SAFE", "filtered"]

HEADERS: Headers = (
    (b"x-ms-region", b"Sweden Central"),
    (b"apim-request-id", b"00000000-0000-4000-8000-000000000000"),
)
_VERSION = re.compile(r"^\d{4}-\d\d-\d\d(?:-preview)?$")
_CATEGORIES = ("hate", "self_harm", "sexual", "violence")
SAFE: dict[str, Any] = {name: {"filtered": False, "severity": "safe"} for name in _CATEGORIES}
# Status to (code, message) of what the front end says itself.
_ERRORS: dict[int, tuple[str, str]] = {
    401: ("401", "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource."),
    403: ("403", "Access denied due to Virtual Network/Firewall rules."),
    404: ("DeploymentNotFound", "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again."),
    408: ("Timeout", "The operation was timeout."),
    429: ("429", "Requests to the Azure OpenAI API have exceeded the call rate limit of your current pricing tier. Please retry after {wait} seconds."),
    500: ("InternalServerError", "Backend returned unexpected response. Please contact Microsoft for help."),
    503: ("ServiceUnavailable", "The service is temporarily unable to process your request. Please try again later."),
}  # fmt: skip
_FILTERED = (
    "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your "
    "prompt and retry."
)


def filtered(category: str) -> dict[str, Any]:
    """The results of the content filters, one of which struck."""
    return {**SAFE, category: {"filtered": True, "severity": "medium"}}


def _outcome(status: int, code: str, message: str, extra: Headers = ()) -> Outcome:
    body = {"error": {"code": code, "message": message}}
    return Outcome(status, encode(body), headers=(*HEADERS, *extra))


def _denied() -> Rejected:
    return Rejected(_ERRORS[401][1], _outcome(401, *_ERRORS[401]))


def _admit(exchange: Exchange, api_key: str | None) -> None:
    """A key in `api-key`, and a version in the query."""
    if api_key is not None and exchange.header(b"api-key") != api_key:
        raise _denied()
    if not _VERSION.match(exchange.query("api-version")):
        raise Rejected("Resource not found", _outcome(404, "404", "Resource not found"))


def _admit_next(exchange: Exchange, api_key: str | None) -> None:
    """The next generation of paths: no version, and the key may come as a bearer token too."""
    if api_key is None or exchange.header(b"api-key") == api_key:
        return
    if exchange.header(b"authorization") != f"Bearer {api_key}":
        raise _denied()


def _failed(fault: Fault) -> Outcome:
    if fault.code == "content_filter":
        return shaped(_blocked(fault.status), fault)
    if fault.status not in _ERRORS and fault.status < 500:
        return openai.failed(fault)
    code, message = _ERRORS.get(fault.status, _ERRORS[500])
    wait = -(-(fault.retry_after or 0) // 1)
    extra: tuple[tuple[bytes, bytes], ...] = ()
    if fault.retry_after is not None:
        extra = ((b"retry-after", b"%d" % wait), (b"retry-after-ms", b"%d" % round(fault.retry_after * 1000)))
    return shaped(_outcome(fault.status, fault.code or code, message.format(wait=int(wait)), extra), fault)


def _blocked(status: int) -> Outcome:
    """A prompt that the content filter did not let through."""
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": filtered("violence")}
    error = {
        "message": _FILTERED,
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": status,
        "innererror": inner,
    }
    return Outcome(status, encode({"error": error}), headers=HEADERS)


DEPLOYMENTS = Vendor(admit=_admit, failed=_failed, refused=openai.refused)
NEXT = Vendor(admit=_admit_next, failed=_failed, refused=openai.refused)
