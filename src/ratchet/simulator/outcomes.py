"""Whole (not streamed) responses with what a fault makes of them. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from ratchet.simulator.faults import Fault

__all__ = ["Headers", "Outcome", "shaped"]

Headers = tuple[tuple[bytes, bytes], ...]
_HTML = (
    b"<!DOCTYPE html>\n<html><head><title>500 Internal Server Error</title></head>\n"
    b"<body><center><h1>500 Internal Server Error</h1></center><hr><center>cloud</center></body></html>\n"
)


class Outcome(msgspec.Struct, frozen=True):
    """`then` is "close" where the connection ends before `length` bytes were sent."""

    status: int
    body: bytes
    content_type: bytes = b"application/json"
    headers: Headers = ()
    length: int | None = None
    then: Literal["go on", "close"] = "go on"


def shaped(outcome: Outcome, fault: Fault) -> Outcome:
    """The outcome with the fault's body and content type."""
    body, kind, length, then = outcome.body, outcome.content_type, None, outcome.then
    if fault.body == "html":
        body, kind = _HTML, b"text/html; charset=utf-8"
    elif fault.body == "empty":
        body = b""
    elif fault.body == "malformed":
        body = body[: len(body) // 2] + b"\x00,,}"
    elif fault.body == "truncated" or (fault.cut is not None and outcome.status == 200):
        length, then, body = len(body), "close", body[: len(body) // 2]
    if fault.bom:
        body = b"\xef\xbb\xbf" + body
    if fault.content_type:
        kind = fault.content_type.encode("latin-1", "replace")
    return Outcome(outcome.status, body, kind, outcome.headers, length, then)
