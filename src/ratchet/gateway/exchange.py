"""One request and its answer, on their way through the pipeline."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ratchet.dialects.dialect import Dialect, RequestHead, StreamHead
from ratchet.domain.access import Key
from ratchet.domain.usage import Usage
from ratchet.errors import RatchetError
from ratchet.gateway.asgi import Headers, Receive, Scope, Send
from ratchet.gateway.attempt import Attempt
from ratchet.gateway.caller import NOBODY, Caller
from ratchet.gateway.choosing import Candidate
from ratchet.gateway.expecting import Reservation
from ratchet.gateway.promptbook import Chosen
from ratchet.gateway.services import Services
from ratchet.gateway.snapshot import Route, Snapshot, Step, Target
from ratchet.gateway.upstream.connection import Answer
from ratchet.gateway.upstream.translation import Translation

__all__ = ["Exchange"]

_NO_USAGE = Usage()


class Exchange:
    """Filled in step by step. What a step needs, an earlier one has set; `None` and empty mean "not yet"."""

    __slots__ = (
        "allowed",
        "answered",
        "attempt",
        "attempts",
        "body",
        "cache_status",
        "caller",
        "content",
        "content_type",
        "cost",
        "dialect",
        "error",
        "finish_reasons",
        "first_token",
        "head",
        "headers",
        "key",
        "last",
        "notes",
        "owed",
        "parent_id",
        "prompt",
        "receive",
        "recorded",
        "reservation",
        "response_id",
        "response_model",
        "route",
        "scale",
        "scope",
        "segment",
        "send",
        "service_tier",
        "services",
        "settlements",
        "snapshot",
        "span_id",
        "started",
        "started_clock",
        "status",
        "stream",
        "streaming",
        "target",
        "told",
        "trace_id",
        "translation",
        "trust",
        "upstream",
        "upstream_headers",
        "usage",
        "variables",
        "wire",
    )

    def __init__(
        self, services: Services, dialect: Dialect, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self.services = services
        self.snapshot: Snapshot = services.snapshot
        self.dialect = dialect  # the app's
        self.scope = scope
        self.headers: Headers = dict(scope["headers"])  # of several of one name the last
        self.receive = receive
        self.send = send
        self.started = services.now()  # nanoseconds since the epoch
        self.started_clock = services.clock()  # nanoseconds of a clock that never jumps
        self.trace_id, self.parent_id = services.trace_context(self.headers.get(b"traceparent"))
        self.span_id = services.new_span_id()

        # who asks, for what
        self.key: Key | None = None
        self.caller: Caller = NOBODY
        self.allowed = False  # a member has said so: trust plays no part
        self.segment = ""  # "" where nothing is declared
        self.trust: float | None = None  # from 0 to 1; None where it plays no part
        self.scale = 1.0  # what the caller's limits are multiplied with
        self.reservation: Reservation | None = None  # where a limit or a budget sets something aside
        self.body = b""
        self.head: RequestHead | None = None
        self.route: Route | None = None
        self.prompt: Chosen | None = None  # where `model` named one
        self.variables = b""  # what filled it in, as JSON
        self.attempts: list[Attempt] = []  # everyone who was asked, in that order
        self.attempt = 1  # the one whose answer this is, counted from 1
        self.target: Target | None = None
        self.wire: Dialect | None = None  # the provider's dialect
        self.translation: Translation | None = None  # where that is another

        self._unanswered()

    def _unanswered(self) -> None:
        """What comes back has not come yet."""
        self.answered = False  # a step has the answer already: those after it have nothing to do
        self.cache_status = ""  # "" | hit | miss | semantic_hit
        self.upstream: Answer | None = None
        self.status = 0
        self.content_type = b"application/json"
        self.upstream_headers: list[tuple[bytes, bytes]] = []
        self.content: list[bytes] = []  # all of the answer's bytes, in order, in the app's dialect
        self.last = b""  # what is held back until the record is written
        self.stream: StreamHead | None = None
        self.streaming = False  # the answer's head has been sent, as a stream
        self.first_token: int | None = None
        self.response_id = ""
        self.response_model = ""
        self.service_tier = ""
        self.finish_reasons: list[str] = []
        self.usage: Usage = _NO_USAGE
        self.cost: Decimal | None = None
        self.owed = False  # whether a provider may ask money for it
        self.error: RatchetError | None = None
        self.recorded = False
        self.notes: dict[str, str] | None = None  # attributes of the span that policies add
        self.told: list[tuple[bytes, bytes]] = []  # headers of the answer that policies add
        # What steps have yet to do, once, when the cost is known, however the request ends. The last one first.
        self.settlements: list[Step] = []

    def new_attempt(self, candidate: Candidate) -> Attempt:
        attempt = Attempt(len(self.attempts) + 1, candidate, self.elapsed())
        self.attempts.append(attempt)
        return attempt

    def adopt(self, attempt: Attempt) -> None:
        """What `attempt` has brought is what this request has come to."""
        self.attempt = attempt.number
        self.target = attempt.target
        self.wire = attempt.wire
        self.translation = attempt.translation
        self.upstream = attempt.upstream
        self.upstream_headers = attempt.headers
        self.owed = attempt.owed
        self.status = attempt.status
        self.content_type = attempt.content_type
        self.content = attempt.content
        self.stream = attempt.reader
        self.first_token = attempt.first_token
        self.response_id = attempt.response_id
        self.response_model = attempt.response_model
        self.service_tier = attempt.service_tier
        self.finish_reasons = attempt.finish_reasons
        self.usage = attempt.usage

    def note(self, name: str, value: str) -> None:
        """Add an attribute to the span, under its full name."""
        if self.notes is None:
            self.notes = {}
        self.notes[name] = value

    def elapsed(self) -> int:
        """Nanoseconds since the request came in."""
        return self.services.clock() - self.started_clock

    @property
    def broke_off(self) -> bool:
        """Whether a stream ended before its answer was whole, whoever ended it."""
        stream = self.stream
        return (
            stream is not None and not stream.done and (self.error is not None or not stream.finish_reasons)
        )

    def context(self) -> dict[str, Any]:
        """What a log line about this request should say."""
        return {
            "trace_id": self.trace_id,
            "route": self.route.name if self.route else None,
            "target": self.target.name if self.target else None,
        }
