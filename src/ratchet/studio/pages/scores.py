"""Scores: reading them, and adding one from a page or the API."""

from __future__ import annotations

import math
import re
from typing import Annotated

from fastapi import Form, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ratchet.domain.access import Role
from ratchet.domain.spans import Score
from ratchet.errors import InvalidRequest
from ratchet.studio.exports import EXPORT_ROWS, Column, export, export_format, moment
from ratchet.studio.rendering import fragment, is_fragment, json_response, see_other
from ratchet.studio.services import Visit
from ratchet.studio.visiting import Asked

__all__ = [
    "LONGEST_SESSION",
    "NewScore",
    "ScoreForm",
    "add_score",
    "add_score_from_page",
    "create_score",
    "scores_json",
    "value_of",
]

LONGEST_SESSION = 500  # characters of its name
_HEX = re.compile(r"[0-9a-f]{1,32}")
_NAME = Field(min_length=1, max_length=200)
_COLUMNS: tuple[Column[Score], ...] = (
    Column("time", lambda score: moment(score.time)),
    Column("name", lambda score: score.name),
    Column("value", lambda score: score.value),
    Column("label", lambda score: score.label),
    Column("comment", lambda score: score.comment),
    Column("correction", lambda score: score.correction),
    Column("source", lambda score: score.source),
    Column("author", lambda score: score.author),
    Column("trace_id", lambda score: score.trace_id),
    Column("span_id", lambda score: score.span_id),
    Column("session", lambda score: score.session_id),
    Column("score_id", lambda score: score.score_id),
)


class NewScore(BaseModel):
    """A judgement to keep: of a span, a trace or a session, with a value, a label, a comment or a correction."""

    model_config = ConfigDict(extra="forbid")

    name: str = _NAME
    value: float | None = None
    label: str = Field(default="", max_length=200)
    comment: str = Field(default="", max_length=20_000)
    correction: str = Field(default="", max_length=100_000)
    trace_id: str = ""
    span_id: str = ""
    session_id: str = Field(default="", max_length=LONGEST_SESSION)


class ScoreForm(BaseModel):
    """The form on a span's pane: thumbs or a number, and words. Empty fields count as not given."""

    model_config = ConfigDict(extra="forbid")

    name: str = _NAME
    thumb: str = Field(default="", pattern="^(up|down)?$")
    value: str = Field(default="", max_length=40)
    label: str = Field(default="", max_length=200)
    comment: str = Field(default="", max_length=20_000)
    correction: str = Field(default="", max_length=100_000)
    span_id: str = ""


def create_score(asked: Visit, new: NewScore) -> Score:
    """Check a score and hand it to the spool. Raises InvalidRequest; Unavailable when the spool takes nothing."""
    if not (new.trace_id or new.session_id):
        raise InvalidRequest(
            "The score says nothing about what it judges.", "Give trace_id or session_id.", param="trace_id"
        )
    for param, text in (("trace_id", new.trace_id), ("span_id", new.span_id)):
        if text and not _HEX.fullmatch(text.lower()):
            raise InvalidRequest(f"{param} is {text!r}.", "It is written in hex digits.", param=param)
    if new.value is not None and not math.isfinite(new.value):
        raise InvalidRequest("The value is not a finite number.", "Give a number like 0.5.", param="value")
    if new.value is None and not (new.label or new.comment.strip() or new.correction.strip()):
        raise InvalidRequest(
            "The score is empty.",
            "Give a thumb, a number, a label, a comment or a correction.",
            param="value",
        )
    score = Score(
        project_id=asked.project_id,
        score_id=asked.services.new_id(),
        time=asked.services.now(),
        name=new.name.strip(),
        value=new.value,
        label=new.label.strip(),
        comment=new.comment.strip(),
        correction=new.correction.strip(),
        source="member",
        author=asked.member.email,
        trace_id=new.trace_id.lower(),
        span_id=new.span_id.lower(),
        session_id=new.session_id,
    )
    asked.services.append_score(score)
    return score


def add_score(asked: Asked, body: NewScore) -> Response:
    """Keep one score; it shows up in lists when the collector has taken it, within about a second."""
    return json_response(create_score(asked, body), status=201)


def add_score_from_page(asked: Asked, trace_id: str, form: Annotated[ScoreForm, Form()]) -> Response:
    """The form of a span's pane. Answers with the list of scores, the new one among them."""
    score = create_score(
        asked,
        NewScore(
            name=form.name,
            value=value_of(form),
            label=form.label,
            comment=form.comment,
            correction=form.correction,
            trace_id=trace_id,
            span_id=form.span_id,
        ),
    )
    if not is_fragment(asked.request):
        return see_other(f"/traces/{trace_id}?span={form.span_id}")
    stored = asked.services.spans().scores(asked.project_id, trace_id=trace_id)
    shown = [known for known in stored if known.span_id in ("", form.span_id)]
    # The collector may or may not have been quicker than this page.
    if all(known.score_id != score.score_id for known in shown):
        shown.append(score)
    return fragment(
        asked,
        "scores.html",
        scores=shown,
        trace_id=trace_id,
        span_id=form.span_id,
        score_names=sorted({known.name for known in stored} | {score.name}),
        may_score=asked.member.role >= Role.ANNOTATOR,
        added=score.score_id,
    )


def value_of(form: ScoreForm) -> float | None:
    """A thumb as 1 or 0, else the number that was written. Raises InvalidRequest."""
    if form.thumb:
        return 1.0 if form.thumb == "up" else 0.0
    if not form.value.strip():
        return None
    try:
        return float(form.value)
    except ValueError:
        raise InvalidRequest(
            f"{form.value!r} is not a number.", "Write it like 0.5, or use a label for words.", param="value"
        ) from None


def scores_json(
    asked: Asked,
    trace_id: str = "",
    span_id: str = "",
    session_id: str = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> Response:
    """Scores, newest first, of a trace, a span, a session or the whole project. With `format`, a file of them all."""
    store = asked.services.spans()
    if export_format(asked):
        every = store.every_score(
            asked.project_id, trace_id=trace_id, span_id=span_id, session_id=session_id, limit=EXPORT_ROWS
        )
        return export(asked, "scores", _COLUMNS, every)
    return json_response(
        store.scores(asked.project_id, trace_id=trace_id, span_id=span_id, session_id=session_id, limit=limit)
    )
