"""The playground: columns side by side over shared variables, each a prompt, a model and parameters, answered live."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import msgspec
from starlette.responses import Response, StreamingResponse

from ratchet.catalog.models import catalogue
from ratchet.domain.playground import RAW, Column, ColumnAnswer, Draft, DraftState
from ratchet.domain.prompts import ROLES, PromptVersion
from ratchet.domain.runs import Run
from ratchet.errors import InvalidRequest, NotFound, RatchetError
from ratchet.store.records.datasets import list_datasets
from ratchet.store.records.drafts import (
    answers_of,
    change_draft,
    create_draft,
    draft_of,
    drop_draft,
    keep_answer,
    list_drafts,
)
from ratchet.store.records.prompts import newest_version, newest_versions, version_of
from ratchet.studio.column_runs import column_suite, fields_of, saved_columns, version_of_column
from ratchet.studio.drafting import (
    MOST_COLUMNS,
    blank,
    changed_by,
    from_span,
    from_version,
    read_form,
    title_of,
    variables_needed,
)
from ratchet.studio.keeping import keep_case, keep_version
from ratchet.studio.queueing import queue_run
from ratchet.studio.relaying import Finished, Recorded, ask_streamed
from ratchet.studio.rendering import fragment, json_response, page, see_other, wants_json
from ratchet.studio.requesting import as_code, request_body, request_hash
from ratchet.studio.services import Visit
from ratchet.studio.visiting import Asked, Typed

__all__ = [
    "DraftLine",
    "change_playground",
    "drafts_json",
    "drop_draft_from_page",
    "new_playground",
    "playground_page",
    "run_column",
    "start_page",
]

_OFFERED = 200  # models in the list that a field suggests
_RECENT = 30 * 86_400 * 10**9


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A column as the page shows it. `problem` says why it can't be sent as it is, `param` names the field."""

    column: Column
    named: bool  # whether the prompt's version is asked for by name
    version: PromptVersion | None
    code: str
    problem: str
    param: str
    answer: ColumnAnswer | None
    stale: bool  # whether the answer is to something else than the column says now


class DraftLine(msgspec.Struct, frozen=True):
    """One of a member's drafts in a list."""

    id: str
    title: str
    revision: int
    created: int
    changed: int


def drafts_json(asked: Asked) -> Response:
    """Your drafts of the playground, what was changed last first."""
    return json_response(_lines(asked))


def start_page(asked: Asked, trace: str = "", span: str = "", prompt: str = "", version: int = 0) -> Response:
    """Your newest draft; with `new` a blank one, with `trace` and `span` a call with its inputs, with `prompt` a
    version of it. Nothing is kept before something is changed or sent."""
    params = asked.request.query_params
    if trace or span:
        found = asked.services.spans().span(asked.project_id, trace, span)
        if found is None:
            raise NotFound(f"There is no span {span!r} in the trace {trace!r}.", "Check the ids.")
        return _page(asked, None, from_span(found), {})
    if prompt:
        return _page(asked, None, _of_prompt(asked, prompt, version), {})
    drafts = _lines(asked)
    if "new" in params or not drafts:
        return _page(asked, None, blank(_first_model(asked)), {})
    return see_other(f"/playground/{drafts[0].id}")


def playground_page(asked: Asked, draft_id: str) -> Response:
    """A draft with the last answer to each of its columns."""
    draft = draft_of(asked.services.records, draft_id, project_id=asked.project_id)
    return _page(asked, draft, draft.state, answers_of(asked.services.records, draft))


def new_playground(asked: Asked, typed: Typed) -> Response:
    """The form of a page that is no draft yet: keep it, and do what its button says."""
    state = read_form(typed, _origin(typed))
    now = asked.services.now()
    draft = create_draft(
        asked.services.records,
        state,
        project_id=asked.project_id,
        owner=asked.member.email,
        title=title_of(state),
        now=now,
    )
    return _do(asked, draft, typed)


def change_playground(asked: Asked, draft_id: str, typed: Typed) -> Response:
    """The form of a draft: keep what it says, and do what its button says."""
    records = asked.services.records
    draft = draft_of(records, draft_id, project_id=asked.project_id)
    state = read_form(typed, draft.state.origin)
    seen = _number("".join(typed.get("revision", ())[:1]))
    if state != draft.state:
        draft = change_draft(
            records, draft, state, title=title_of(state), seen=seen, now=asked.services.now()
        )
    return _do(asked, draft, typed)


def drop_draft_from_page(asked: Asked, draft_id: str) -> Response:
    records = asked.services.records
    drop_draft(records, draft_of(records, draft_id, project_id=asked.project_id))
    return see_other("/playground")


def run_column(asked: Asked, draft_id: str, column_id: int) -> Response:
    """Send one column, and stream what comes back: server-sent events, each a piece of `relaying` as JSON, or `html`
    where the answer is whole."""
    records = asked.services.records
    draft = draft_of(records, draft_id, project_id=asked.project_id)
    column = next((each for each in draft.state.columns if each.id == column_id), None)
    if column is None:
        raise NotFound(f"This draft has no column {column_id}.", "Load the page again.")
    body = request_body(column, draft.state.variables, version_of_column(asked, column))
    return StreamingResponse(
        _events(asked, draft, column_id, body),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


async def _events(
    asked: Visit, draft: Draft, column_id: int, body: Mapping[str, Any]
) -> AsyncGenerator[bytes]:
    async for piece in ask_streamed(asked, body):
        told: Any = piece
        if isinstance(piece, Finished | Recorded):
            await asyncio.to_thread(keep_answer, asked.services.records, draft.id, column_id, piece.answer)
            shown = fragment(
                asked,
                "playground_answer.html",
                answer=piece.answer,
                stale=False,
                pending=isinstance(piece, Finished),
            )
            told = {"html": bytes(shown.body).decode()}
        yield b"data: " + msgspec.json.encode(told) + b"\n\n"


def _do(asked: Visit, draft: Draft, typed: Mapping[str, Sequence[str]]) -> Response:
    """`do` is a verb, and where it is about a column or a message their numbers: `drop-message:2:0`."""
    words = "".join(typed.get("do", ())[:1]).split(":")
    verb, column_id, number = words[0], _number(words[1:2]), _number(words[2:3])
    if wants_json(asked.request):
        return json_response(_summary(asked, draft))
    column = next((each for each in draft.state.columns if each.id == column_id), None)
    place = f"/playground/{draft.id}"
    try:
        if verb == "run":
            asyncio.run(_run_all(asked, draft))
        elif verb == "dataset":
            return _begun(asked, draft, typed)
        elif verb in ("version", "case", "load") and column is not None:
            return _kept(asked, draft, column, verb, typed)
        else:
            changed = changed_by(draft.state, verb, column_id, number)
            if changed != draft.state:
                _save(asked, draft, changed)
    except RatchetError as error:
        return _page(
            asked,
            draft,
            draft.state,
            answers_of(asked.services.records, draft),
            problem=error,
            over=fields_of(typed) if verb == "dataset" else None,
            status=error.status,
        )
    return see_other(f"{place}#column-{column_id}" if column_id else place)


def _kept(
    asked: Visit, draft: Draft, column: Column, verb: str, typed: Mapping[str, Sequence[str]]
) -> Response:
    """Save a column as a version or a case, or load a version into it. Raises RatchetError."""

    def field(name: str) -> str:
        return "".join(typed.get(f"c{column.id}.{name}", ())[:1])

    answers = answers_of(asked.services.records, draft)
    if verb == "case":
        grown = keep_case(
            asked, draft.state, column, answers.get(column.id), field("dataset"), field("reference")
        )
        name = field("dataset").strip()
        said = (
            f"The dataset {name} has such a case already."
            if grown.duplicates or grown.changed.unchanged
            else f"Added to the dataset {name}, version {grown.changed.version}."
        )
        return _page(asked, draft, draft.state, answers, saved=said)
    if verb == "version":
        pushed = keep_version(asked, column, field("save_name"), field("save_message"))
        version = pushed.version
        done = "Saved as" if pushed.created else "This is already"
        said = f"{done} {version.prompt} #{version.number}."
    else:
        name = field("load").strip()
        version, said = newest_version(asked.services.records, name, project_id=asked.project_id), ""
    loaded = from_version(version, column.id)
    if not loaded.model:
        loaded = msgspec.structs.replace(loaded, model=column.model)
    columns = [loaded if each.id == column.id else each for each in draft.state.columns]
    draft = _save(asked, draft, msgspec.structs.replace(draft.state, columns=columns))
    return _page(asked, draft, draft.state, answers, saved=said)


def _begun(asked: Visit, draft: Draft, typed: Mapping[str, Sequence[str]]) -> Response:
    """A run of the columns over a dataset. Raises RatchetError."""
    fields = fields_of(typed)
    if fields["save_as"]:
        state = saved_columns(asked, draft.state, fields["save_as"])
        if state != draft.state:
            draft = _save(asked, draft, state)
    run = queue_run(asked, column_suite(asked, draft.state, fields))
    return _page(asked, draft, draft.state, answers_of(asked.services.records, draft), over=fields, run=run)


def _save(asked: Visit, draft: Draft, state: DraftState) -> Draft:
    return change_draft(
        asked.services.records,
        draft,
        state,
        title=title_of(state),
        seen=draft.revision,
        now=asked.services.now(),
    )


async def _run_all(asked: Visit, draft: Draft) -> None:
    """Every column at once, for a browser without scripts: the page waits for the answers."""
    bodies = {
        column.id: request_body(column, draft.state.variables, version_of_column(asked, column))
        for column in draft.state.columns
    }

    async def run(column_id: int, body: Mapping[str, Any]) -> None:
        async for _ in _events(asked, draft, column_id, body):
            pass

    async with asyncio.TaskGroup() as group:
        for column_id, body in bodies.items():
            group.create_task(run(column_id, body))


def _summary(asked: Visit, draft: Draft) -> dict[str, Any]:
    """What a page that is kept as it is typed has to know."""
    answers = answers_of(asked.services.records, draft)
    shown = [_shown(asked, column, draft.state, answers) for column in draft.state.columns]
    return {
        "id": draft.id,
        "revision": draft.revision,
        "variables": list(variables_needed(draft.state)),
        "columns": [
            {
                "id": each.column.id,
                "code": each.code,
                "problem": each.problem,
                "param": each.param,
                "stale": each.stale,
                "named": each.named,
            }
            for each in shown
        ],
    }


def _page(
    asked: Visit,
    draft: Draft | None,
    state: DraftState,
    answers: Mapping[int, ColumnAnswer],
    *,
    problem: RatchetError | None = None,
    saved: str = "",
    over: Mapping[str, str] | None = None,
    run: Run | None = None,
    status: int = 200,
) -> Response:
    """`over` is what the form says of a run over a dataset, and `run` the one that has begun."""
    records, project = asked.services.records, asked.project_id
    return page(
        asked,
        "playground.html",
        status=status,
        draft=draft,
        state=state,
        columns=[_shown(asked, column, state, answers) for column in state.columns],
        variables=variables_needed(state),
        models=_models(asked),
        prompts=sorted(newest_versions(records, project_id=project)),
        datasets=[dataset.name for dataset, _ in list_datasets(records, project_id=project)],
        drafts=_lines(asked),
        roles=(*ROLES, RAW),
        problem=problem,
        saved=saved,
        over=over or fields_of({}),
        refused=over is not None and problem is not None,
        begun=run,
        most_columns=MOST_COLUMNS,
    )


def _shown(asked: Visit, column: Column, state: DraftState, answers: Mapping[int, ColumnAnswer]) -> Shown:
    version = version_of_column(asked, column)
    script, problem, param, sent = "", "", "", ""
    named = False
    try:
        body = request_body(column, state.variables, version)
        script, sent = as_code(body, base_url=asked.services.gateway_url), request_hash(body)
        named = "variables" in body
    except InvalidRequest as error:
        problem, param = f"{error.message} {error.remedy}", error.param or ""
    answer = answers.get(column.id)
    return Shown(
        column=column,
        named=named,
        version=version,
        code=script,
        problem=problem,
        param=param,
        answer=answer,
        stale=answer is not None and answer.request != sent,
    )


def _of_prompt(asked: Visit, prompt: str, number: int) -> DraftState:
    records, project = asked.services.records, asked.project_id
    version = (
        version_of(records, prompt, number, project_id=project)
        if number
        else newest_version(records, prompt, project_id=project)
    )
    column = from_version(version)
    if not column.model:
        column = msgspec.structs.replace(column, model=_first_model(asked))
    return DraftState(columns=[column])


def _models(asked: Visit) -> list[str]:
    """What can be asked for: routes, what was called of late, and what a declared provider is known to serve."""
    found = [route.name for route in asked.services.routes()]
    try:
        since = asked.services.now() - _RECENT
        calls = asked.services.spans().models_called(asked.project_id, since=since)
        found += [call.target for call in calls]
    except RatchetError:  # suggestions; whatever is typed is asked for
        calls = []
    found += [f"simulator/{model.name}" for model in catalogue() if model.hosted][:20] if not calls else []
    return list(dict.fromkeys(found))[:_OFFERED]


def _first_model(asked: Visit) -> str:
    return next(iter(_models(asked)), "simulator/gpt-4o-mini")


def _lines(asked: Visit) -> list[DraftLine]:
    drafts = list_drafts(asked.services.records, project_id=asked.project_id, owner=asked.member.email)
    return [DraftLine(each.id, each.title, each.revision, each.created, each.changed) for each in drafts]


def _origin(typed: Mapping[str, Sequence[str]]) -> tuple[str, str] | None:
    trace, _, span = "".join(typed.get("origin", ())[:1]).partition("/")
    return (trace, span) if trace and span else None


def _number(words: Sequence[str] | str) -> int:
    text = words if isinstance(words, str) else "".join(words[:1])
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
