"""Cases out of traces: what was asked becomes the input, what was answered the earlier answer, and scores the feedback.

Of a trace with several model calls, the question is what the first was asked, and the answer what the last one said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from ratchet.datasets.fields import with_ids
from ratchet.dialects.openai_chat.writing import write_message
from ratchet.domain.access import Role
from ratchet.domain.cases import Case
from ratchet.domain.messages import Message, TextPart
from ratchet.domain.spans import Score, Span
from ratchet.errors import NotFound
from ratchet.store.records.datasets import list_datasets
from ratchet.store.spans import SpanHead
from ratchet.studio.filters import select_traces
from ratchet.studio.services import Visit

__all__ = [
    "MOST_TRACES",
    "Harvest",
    "case_of_span",
    "correction_of",
    "dataset_names",
    "harvest",
    "traces_of_query",
]

MOST_TRACES = 500
_PEOPLE = ("user", "member")
_decode = msgspec.json.Decoder(list[Message]).decode


class Harvest(msgspec.Struct, frozen=True):
    """Cases, and how many traces had nothing to make one of."""

    cases: list[Case]
    empty: int


def harvest(asked: Visit, chosen: Iterable[tuple[str, str]]) -> Harvest:
    """A case of each `(trace, span)`; a span "" leaves the choice. Raises NotFound for what is not there."""
    cases: list[Case] = []
    empty = 0
    graded = asked.services.spans().graded_names(asked.project_id)
    for trace_id, span_id in chosen:
        case = _case_of_trace(asked, trace_id, span_id, graded)
        if case is None:
            empty += 1
        else:
            cases.append(case)
    # The same question in several traces is one case: the newest, which comes first, stands for it.
    found = {case.id: case for case in reversed(with_ids(cases))}
    return Harvest(list(reversed(found.values())), empty)


def traces_of_query(asked: Visit, query: str) -> tuple[list[tuple[str, str]], int]:
    """The newest traces that a list's filters find, MOST_TRACES of them, and how many there are. Raises InvalidRequest."""
    params: Mapping[str, str] = dict(parse_qsl(query))
    selection = select_traces(params, now=asked.services.now())
    found = asked.services.spans().traces(asked.project_id, selection.filter, limit=MOST_TRACES)
    return [(row.trace_id, "") for row in found.rows], found.total


def case_of_span(
    span: Span,
    scores: Sequence[Score],
    *,
    answered: Span | None = None,
    graded: frozenset[str] = frozenset(),
) -> Case | None:
    """None where the span does not say what was asked. `answered` is the span with the answer, if it is another.

    `graded` are names of scores that are numbers: 1 and 0 are thumbs under every other name.
    """
    asked = _messages(span.input_messages)
    if span.prompt:  # a version of the prompt says the rest
        asked = [message for message in asked if message.role not in ("system", "developer")]
    if not asked:
        return None
    last = answered or span
    people = [score for score in scores if score.source in _PEOPLE]
    metadata = {
        "route": span.route,
        "model": last.response_model or last.request_model,
        "language": span.language,
    }
    return Case(
        id="",
        input=_input(asked),
        reference=correction_of(scores) or None,
        previous_answer=_text(_messages(last.output_messages)),
        feedback="\n".join(filter(None, (_opinion(score, graded) for score in people))),
        metadata={name: value for name, value in metadata.items() if value},
        tags=list(dict.fromkeys(span.tags)),
        source=span.user_id or span.session_id,
        trace_id=span.trace_id,
        span_id=span.span_id,
        origin="feedback" if people else "trace",
    )


def correction_of(scores: Sequence[Score]) -> str:
    """The newest corrected answer, "" where nobody gave one."""
    given = [score for score in scores if score.correction.strip()]
    return max(given, key=lambda score: score.time).correction if given else ""


def dataset_names(asked: Visit) -> list[str]:
    """What a case could be added to, by those who may."""
    if asked.member.role < Role.ANNOTATOR:
        return []
    return [dataset.name for dataset, _ in list_datasets(asked.services.records, project_id=asked.project_id)]


def _case_of_trace(asked: Visit, trace_id: str, span_id: str, graded: frozenset[str]) -> Case | None:
    store = asked.services.spans()
    tree = store.trace(asked.project_id, trace_id)
    if tree is None or not tree.spans:
        raise NotFound(f"There is no trace {trace_id!r} in this project.", "Check the id.")
    if span_id:
        span = store.span(asked.project_id, trace_id, span_id)
        if span is None:
            raise NotFound(f"There is no span {span_id!r} in the trace {trace_id!r}.", "Check the id.")
        scores = [score for score in tree.scores if score.span_id in ("", span_id)]
        return case_of_span(span, scores, graded=graded)
    calls = sorted(filter(_is_call, tree.spans), key=lambda each: each.start)
    if not calls:
        return None
    first = store.span(asked.project_id, trace_id, calls[0].span_id)
    last = store.span(asked.project_id, trace_id, calls[-1].span_id)
    return None if first is None else case_of_span(first, tree.scores, answered=last, graded=graded)


def _is_call(span: SpanHead) -> bool:
    return bool(span.request_model or span.response_model) and span.operation not in (
        "embeddings", "rerank", "retrieval", "invoke_agent", "create_agent", "invoke_workflow", "execute_tool"
    )  # fmt: skip


def _messages(text: str) -> list[Message]:
    try:
        return _decode(text) if text else []
    except (msgspec.DecodeError, UnicodeEncodeError):
        return []


def _input(messages: Sequence[Message]) -> Any:
    """A text where one user said one thing, else the messages as chat completions have them."""
    written = [write_message(message) for message in messages]
    if len(written) == 1 and written[0].get("role") == "user" and isinstance(written[0].get("content"), str):
        return written[0]["content"]
    return written


def _text(messages: Sequence[Message]) -> str:
    return "\n".join(
        part.content for message in messages for part in message.parts if isinstance(part, TextPart)
    )


def _opinion(score: Score, graded: frozenset[str]) -> str:
    """What somebody thought, in words."""
    said = "" if score.value is None else f"{score.value:g}"
    if score.value in (0, 1) and score.name not in graded:
        said = "up" if score.value else "down"
    judged = " ".join(filter(None, (said, score.label)))
    told = f"{score.name}: {judged}" if judged else ""
    return " – ".join(filter(None, (told, score.comment.strip())))
