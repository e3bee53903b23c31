"""Sessions: a list, and one session read as a conversation, turn by turn, with what was thought of each."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated
from urllib.parse import unquote

import msgspec
from fastapi import Form
from starlette.responses import Response

from ratchet.domain.access import Role
from ratchet.domain.messages import Message
from ratchet.domain.spans import Score
from ratchet.errors import NotFound
from ratchet.store.spans import SESSION_ORDERS, Session, SessionPage, SessionRow, TraceFilter, Turn
from ratchet.studio.conversation import Transcript, read_messages, some_of
from ratchet.studio.description import Parameter
from ratchet.studio.dialogue import Said, news
from ratchet.studio.exports import EXPORT_ROWS, FORMAT, Column, export, export_format, milliseconds, moment
from ratchet.studio.filters import DEFAULT_RANGE, TRACE_QUERY, Selection, select_traces
from ratchet.studio.formats import segment
from ratchet.studio.listing import Heading, Order, filter_bar, first_request, order_of, pager, whole
from ratchet.studio.pages.scores import LONGEST_SESSION, NewScore, ScoreForm, create_score, value_of
from ratchet.studio.rendering import fragment, is_fragment, json_response, page, see_other
from ratchet.studio.services import Visit
from ratchet.studio.visiting import Asked

__all__ = [
    "SESSIONS_QUERY",
    "SESSION_COLUMNS",
    "SESSION_QUERY",
    "SessionView",
    "TurnScoreForm",
    "TurnView",
    "list_sessions",
    "score_turn",
    "session_json",
    "session_page",
    "sessions_json",
    "sessions_page",
    "view_session",
]

PAGE_ROWS = 50
MAX_ROWS = 1000
PAGE_TURNS = 20
MAX_TURNS = 100
_DEFAULT = "last"

SESSION_COLUMNS = (
    Heading("end", "Last activity", "last"),
    Heading("session_id", "Session"),
    Heading("input_preview", "First and last words"),
    Heading("user_id", "User"),
    Heading("turns", "Turns", "turns", numeric=True),
    Heading("duration", "Duration", "duration", numeric=True),
    Heading("tokens", "Tokens", "tokens", numeric=True),
    Heading("cost", "Cost", "cost", numeric=True),
    Heading("error_count", "Errors", "errors", numeric=True),
    Heading("scores", "Scores"),
)


SESSIONS_QUERY = (
    *TRACE_QUERY,
    Parameter("sort", "What to sort by.", {"type": "string", "enum": ["", *SESSION_ORDERS]}),
    Parameter("order", "Which way.", {"type": "string", "enum": ["", "asc", "desc"]}),
    Parameter("limit", "How many rows.", {"type": "integer", "minimum": 1, "maximum": MAX_ROWS}),
    Parameter("offset", "From which row on.", {"type": "integer", "minimum": 0, "maximum": 10**9}),
    FORMAT,
)
SESSION_QUERY = (
    Parameter("limit", "How many turns.", {"type": "integer", "minimum": 1, "maximum": MAX_TURNS}),
    Parameter("offset", "From which turn on.", {"type": "integer", "minimum": 0, "maximum": 10**9}),
)
_COLUMNS: tuple[Column[SessionRow], ...] = (
    Column("session", lambda row: row.session_id),
    Column("started", lambda row: moment(row.start)),
    Column("ended", lambda row: moment(row.end)),
    Column("duration_ms", lambda row: milliseconds(row.duration)),
    Column("turns", lambda row: row.turns),
    Column("calls", lambda row: row.calls),
    Column("errors", lambda row: row.error_count),
    Column("user", lambda row: row.user_id),
    Column("organisation", lambda row: row.organisation_id),
    Column("routes", lambda row: row.routes),
    Column("models", lambda row: row.models),
    Column("languages", lambda row: row.languages),
    Column("input_tokens", lambda row: row.input_tokens),
    Column("output_tokens", lambda row: row.output_tokens),
    Column("cost_usd", lambda row: row.cost),
    Column("calls_without_price", lambda row: row.unpriced_calls),
    Column("scores", lambda row: {name: mean for name, mean, _ in row.scores}),
    Column("first_input", lambda row: row.input_preview),
    Column("last_output", lambda row: row.output_preview),
)


class TurnView(msgspec.Struct, frozen=True, kw_only=True):
    """One trace of a session. `messages` are those that no turn before had said, `answer` those that came out.

    `places` says where in the span's input each of the messages stands, and `known` how many went in again.
    """

    number: int
    trace_id: str
    span_id: str
    start: int
    duration: int
    name: str
    route: str
    models: list[str]
    error_count: int
    error_message: str
    input_tokens: int | None
    output_tokens: int | None
    cost: Decimal | None
    unpriced_calls: int
    calls: int
    span_count: int
    time_to_first_token: int | None
    input_preview: str
    output_preview: str
    known: int
    places: list[int]
    messages: list[Message]
    answer: list[Message]
    scores: list[Score]


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """One session, some of its turns from number `offset` on, oldest first, and the scores of the whole of it."""

    session: SessionRow
    turns: list[TurnView]
    total: int
    limit: int
    offset: int
    scores: list[Score]


class TurnScoreForm(ScoreForm):
    """The form at a turn; without a trace it is about the session."""

    trace_id: str = ""


def list_sessions(
    asked: Visit, params: Mapping[str, str], *, default_range: str = DEFAULT_RANGE, rows: int = PAGE_ROWS
) -> tuple[Selection, Order, SessionPage]:
    """The page of sessions that `params` ask for. Raises InvalidRequest naming a wrong parameter."""
    selection = select_traces(params, now=asked.services.now(), default_range=default_range)
    order = order_of(params, tuple(SESSION_ORDERS), _DEFAULT)
    found = asked.services.spans().sessions(
        asked.project_id,
        selection.filter,
        order=order.sort,
        ascending=order.ascending,
        limit=whole(params, "limit", rows, at_least=1, at_most=MAX_ROWS),
        offset=whole(params, "offset", 0, at_least=0, at_most=10**9),
    )
    return selection, order, found


def _export(asked: Visit, default_range: str) -> Response:
    params = asked.request.query_params
    selection = select_traces(params, now=asked.services.now(), default_range=default_range)
    order = order_of(params, tuple(SESSION_ORDERS), _DEFAULT)
    total, batches = asked.services.spans().every_session(
        asked.project_id, selection.filter, order=order.sort, ascending=order.ascending, limit=EXPORT_ROWS
    )
    return export(asked, "sessions", _COLUMNS, batches, total=total)


def sessions_page(asked: Asked) -> Response:
    """The list; with `?format=` the file of all of it."""
    if export_format(asked):
        return _export(asked, DEFAULT_RANGE)
    selection, order, found = list_sessions(asked, asked.request.query_params)
    return page(
        asked,
        "sessions.html",
        bar=filter_bar(asked, selection, "/sessions", kept=order.params),
        found=found,
        columns=SESSION_COLUMNS,
        order=order,
        pager=pager(selection, found.offset, len(found.rows), found.total, found.limit, order.params),
        any_traces=bool(found.total) or asked.services.spans().has_spans(asked.project_id),
        **first_request(asked),
    )


def sessions_json(asked: Asked) -> Response:
    """`{rows, total, limit, offset}`; the filters of traces, `sort` and `order`; all of time by default.

    With `format`, a file of every session that matches.
    """
    if export_format(asked):
        return _export(asked, "all")
    return json_response(list_sessions(asked, asked.request.query_params, default_range="all")[2])


def view_session(asked: Visit, session_id: str, params: Mapping[str, str]) -> SessionView:
    """The session with some of its turns. Raises NotFound, and InvalidRequest naming a wrong parameter."""
    found = asked.services.spans().session(
        asked.project_id,
        session_id,
        limit=whole(params, "limit", PAGE_TURNS, at_least=1, at_most=MAX_TURNS),
        offset=whole(params, "offset", 0, at_least=0, at_most=10**9),
    )
    if found is None:
        raise NotFound(
            f"There is no session {session_id!r} in this project.",
            "Check the id. A session shows up about a second after its first answer.",
        )
    return SessionView(
        session=found.row,
        turns=_turns(found),
        total=found.total,
        limit=found.limit,
        offset=found.offset,
        scores=[score for score in found.scores if not score.trace_id],
    )


def _turns(found: Session) -> list[TurnView]:
    told = [_said(turn) for turn in found.earlier]
    turns: list[TurnView] = []
    for number, turn in enumerate(found.turns, found.offset + 1):
        said = _said(turn)
        fresh = news(said, told[-5:])
        told.append(said)
        values = {name: getattr(turn, name) for name in Turn.__struct_fields__ if name not in _RAW}
        turns.append(
            TurnView(
                **values,
                number=number,
                known=len(said.asked) - len(fresh),
                places=fresh,
                messages=[said.asked[place] for place in fresh],
                answer=list(said.answered),
                scores=[score for score in found.scores if score.trace_id == turn.trace_id],
            )
        )
    return turns


_RAW = frozenset({"input_messages", "output_messages"})


def _said(turn: Turn) -> Said:
    return Said(read_messages(turn.input_messages), read_messages(turn.output_messages))


def transcript_of(turn: TurnView) -> Transcript:
    """A turn as it is shown."""
    return some_of(list(zip(turn.places, turn.messages, strict=True)), turn.answer)


def session_page(asked: Asked, session_id: str) -> Response:
    """One session as a conversation, twenty turns at a time."""
    session_id = unquote(session_id)
    view = view_session(asked, session_id, asked.request.query_params)
    everything = Selection(filter=TraceFilter(), params={}, range="all", chips=[])
    return page(
        asked,
        "session.html",
        view=view,
        transcripts={turn.trace_id: transcript_of(turn) for turn in view.turns},
        pager=pager(everything, view.offset, len(view.turns), view.total, view.limit),
        last_page=(view.total - 1) // view.limit * view.limit,
        may_score=asked.member.role >= Role.ANNOTATOR,
    )


def session_json(asked: Asked, session_id: str) -> Response:
    """A session's figures, and of each turn what was new; `limit` (20, at most 100) and `offset` choose the turns."""
    return json_response(view_session(asked, unquote(session_id), asked.request.query_params))


def score_turn(asked: Asked, session_id: str, form: Annotated[TurnScoreForm, Form()]) -> Response:
    """The form at a turn, or at the session. Answers with the scores there, the new one among them."""
    session_id = unquote(session_id)
    if len(session_id) > LONGEST_SESSION:
        raise NotFound(f"There is no session {session_id[:40]!r}….", "Check the name.")
    score = create_score(
        asked,
        NewScore(
            name=form.name,
            value=value_of(form),
            label=form.label,
            comment=form.comment,
            correction=form.correction,
            trace_id=form.trace_id,
            span_id=form.span_id,
            session_id=session_id,
        ),
    )
    if not is_fragment(asked.request):
        return see_other(f"/sessions/{segment(session_id)}")
    spans = asked.services.spans()
    if score.trace_id:
        shown = spans.scores(asked.project_id, trace_id=score.trace_id)
    else:
        shown = [one for one in spans.scores(asked.project_id, session_id=session_id) if not one.trace_id]
    # The collector may or may not have been quicker than this page.
    if all(known.score_id != score.score_id for known in shown):
        shown.append(score)
    return fragment(
        asked,
        "turn_scores.html",
        session_id=session_id,
        trace_id=score.trace_id,
        span_id=score.span_id,
        scores=shown,
        may_score=asked.member.role >= Role.ANNOTATOR,
        added=score.score_id,
    )
