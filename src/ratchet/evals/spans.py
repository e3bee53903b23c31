"""What a run writes to the spool itself, beside the model calls that the gateway writes: answers of apps, answers that
were there already, scores."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from ratchet.dialects.openai_chat.content import messages_of_request, messages_of_response
from ratchet.domain.cases import Case, Output, Verdict
from ratchet.domain.messages import Message, TextPart
from ratchet.domain.runs import CACHED_COST, CACHED_LATENCY, CACHED_TRACE, Candidate, RunTag
from ratchet.domain.spans import Score, Span
from ratchet.telemetry.calls import Record
from ratchet.telemetry.spans import input_preview, json_text, output_preview

__all__ = ["SpanWriter", "score_id"]

_encoder = msgspec.json.Encoder()


def score_id(tag: RunTag, name: str) -> str:
    """The same verdict of the same answer has the same id, so that one written twice is seen once."""
    parts = "\0".join((tag.run_id, tag.candidate, tag.case_id, str(tag.repeat), name))
    return hashlib.sha256(parts.encode()).hexdigest()[:32]


class SpanWriter:
    """Writes one run's spans and scores. `record` raises Unavailable where the spool is full."""

    def __init__(
        self,
        *,
        project_id: str,
        author: str,
        record: Callable[[Record], None],
        now: Callable[[], int],
        clock: Callable[[], int],
        new_ids: Callable[[], tuple[str, str]],
    ) -> None:
        """`new_ids` gives a trace id and a span id."""
        self._project_id = project_id
        self._author = author
        self._record = record
        self.now = now
        self.clock = clock
        self.new_ids = new_ids

    def answered(
        self, about: Candidate, tag: RunTag, case: Case, output: Output, *, started: int, duration: int
    ) -> None:
        """What an app answered: the root of whatever spans it sends itself."""
        asked = [Message("user", [TextPart(_text(case.input))])]
        if isinstance(case.input, list):
            asked = messages_of_request(_encoder.encode({"messages": case.input})).messages
        self._record(
            msgspec.structs.replace(
                self._span(
                    about,
                    tag,
                    output,
                    asked,
                    [Message("assistant", [TextPart(output.text), *output.tool_calls])],
                ),
                start=started,
                duration=duration,
                cost=output.cost,
            )
        )

    def repeated(
        self, about: Candidate, tag: RunTag, output: Output, request: bytes, response: bytes
    ) -> Output:
        """Write down that an answer was there already: it costs nothing this time. The answer, with its new ids."""
        trace_id, span_id = self.new_ids()
        found = msgspec.structs.replace(output, trace_id=trace_id, span_id=span_id)
        if response:
            asked, said = messages_of_request(request).messages, messages_of_response(response).messages
        else:
            asked, said = (
                [Message("user", [TextPart(request.decode())])],
                [Message("assistant", [TextPart(output.text)])],
            )
        attributes = {CACHED_TRACE: output.trace_id}
        if output.cost is not None:
            attributes[CACHED_COST] = f"{output.cost:f}"
        if output.latency is not None:
            attributes[CACHED_LATENCY] = f"{output.latency:.9f}"
        self._record(
            msgspec.structs.replace(
                self._span(about, tag, found, asked, said),
                start=self.now(),
                duration=0,
                cost=Decimal(0),
                cache_status="hit",
                attributes=attributes,
            )
        )
        return found

    def scored(self, tag: RunTag, output: Output, verdict: Verdict, *, judged: bool) -> None:
        """`judged`: a model gave the verdict."""
        attributes = {**verdict.attributes, "candidate": tag.candidate, "repeat": str(tag.repeat)}
        self._record(
            Score(
                project_id=self._project_id,
                score_id=score_id(tag, verdict.name),
                time=self.now(),
                name=verdict.name,
                value=verdict.value if verdict.scored else None,
                label=verdict.label,
                comment=verdict.comment,
                source="judge" if judged else "code",
                author=self._author,
                trace_id=output.trace_id,
                span_id=output.span_id,
                case_id=tag.case_id,
                run_id=tag.run_id,
                attributes=attributes,
            )
        )

    def _span(
        self, about: Candidate, tag: RunTag, output: Output, asked: list[Message], said: list[Message]
    ) -> Span:
        app = about.kind in ("http", "python")
        return Span(
            project_id=self._project_id,
            trace_id=output.trace_id,
            span_id=output.span_id,
            name=about.name,
            kind="internal",
            source="run",
            service="ratchet",
            operation="invoke_agent" if app else "chat",
            start=0,
            duration=0,
            status="error" if output.error else "ok",
            error_message=output.error,
            app_version=about.app_version,
            request_model="" if app else about.model or about.target,
            prompt=about.target.partition("@")[0].partition("#")[0] if about.kind == "prompt" else "",
            prompt_version=about.version,
            input_tokens=output.input_tokens,
            output_tokens=output.output_tokens,
            input_messages=json_text(asked),
            output_messages=json_text(said),
            input_preview=input_preview(asked),
            output_preview=output_preview(said),
            run_id=tag.run_id,
            candidate=tag.candidate,
            case_id=tag.case_id,
            repeat=tag.repeat,
        )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else _encoder.encode(value).decode()
