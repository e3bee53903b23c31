"""Adding to a dataset what is in traces: one span from its page, all traces of a list, or what a program names."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import Form
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ratchet.datasets.growing import Grown, put_cases
from ratchet.domain.cases import Case
from ratchet.domain.datasets import Dataset
from ratchet.errors import InvalidRequest, NotFound
from ratchet.store.records.datasets import create_dataset, dataset_named
from ratchet.studio.case_views import put_view
from ratchet.studio.formats import segment
from ratchet.studio.harvesting import MOST_TRACES, harvest, traces_of_query
from ratchet.studio.pages.dataset_pages import Told, show_dataset
from ratchet.studio.pages.datasets import dataset_of
from ratchet.studio.rendering import fragment, is_fragment, json_response, see_other
from ratchet.studio.services import Visit
from ratchet.studio.visiting import Asked

__all__ = ["FromTraces", "SpanChoice", "add_span_from_page", "add_traces", "add_traces_from_page"]


class SpanChoice(BaseModel):
    """One span, or with no `span_id` the calls of a trace: asked as the first was, answered as the last."""

    model_config = ConfigDict(extra="forbid")

    trace_id: str = Field(max_length=64)
    span_id: str = Field(default="", max_length=64)


class FromTraces(BaseModel):
    """What to make cases of: `spans`, or the newest traces that `query` finds, as the list's address has it."""

    model_config = ConfigDict(extra="forbid")

    spans: list[SpanChoice] = Field(default_factory=list[SpanChoice], max_length=MOST_TRACES)
    query: str | None = Field(default=None, max_length=4000)
    message: str = Field(default="", max_length=2000)


def add_traces(asked: Asked, name: str, body: FromTraces) -> Response:
    """Make cases of spans, or of all traces that filters find, 500 at most."""
    dataset = dataset_of(asked, name)
    chosen = [(one.trace_id, one.span_id) for one in body.spans]
    if body.query is not None:
        chosen += traces_of_query(asked, body.query)[0]
    found = harvest(asked, chosen)
    message = body.message or f"From {len(found.cases)} traces"
    return json_response(put_view(_put(asked, dataset, found.cases, message)))


def add_span_from_page(
    asked: Asked,
    trace_id: str,
    span_id: str,
    dataset: Annotated[str, Form()] = "",
    reference: Annotated[str, Form()] = "",
    *,
    right: Annotated[bool, Form()] = False,
) -> Response:
    """The form of a span's pane. The dataset is made where there is none of that name."""
    found = harvest(asked, [(trace_id, span_id)])
    if not found.cases:
        raise InvalidRequest(
            "This span does not say what was asked.", "Choose a model call whose conversation was kept."
        )
    case = found.cases[0]
    expected = reference.strip() or (case.previous_answer if right else "")
    case = msgspec.structs.replace(case, reference=expected.replace("\r\n", "\n") or None)
    into = _made(asked, dataset.strip())
    grown = _put(asked, into, [case], f"From the trace {trace_id[:8]}")
    twin = grown.duplicates[0].of if grown.duplicates else ""
    if not is_fragment(asked.request):
        return see_other(f"/datasets/{segment(into.name)}")
    return fragment(
        asked, "case_added.html", dataset=into.name, case_id=twin or case.id, twin=twin, grown=grown
    )


def add_traces_from_page(
    asked: Asked, dataset: Annotated[str, Form()] = "", query: Annotated[str, Form(max_length=4000)] = ""
) -> Response:
    """All traces of a list. Answers with the dataset's page."""
    chosen, total = traces_of_query(asked, query)
    found = harvest(asked, chosen)
    notes: list[str] = []
    if total > len(chosen):
        notes.append(f"The newest {len(chosen):,} of {total:,} traces were taken.")
    if found.empty:
        notes.append(f"{found.empty:,} of them have no model call that says what was asked.")
    into = _made(asked, dataset.strip())
    grown = _put(asked, into, found.cases, f"From {len(found.cases)} traces")
    return show_dataset(asked, dataset_of(asked, into.name), told=Told(put=put_view(grown), notes=notes))


def _made(asked: Visit, name: str) -> Dataset:
    """The dataset of that name, made where there is none. Raises InvalidRequest for a name that is none."""
    try:
        return dataset_named(asked.services.records, project_id=asked.project_id, name=name)
    except NotFound:
        return create_dataset(
            asked.services.records,
            project_id=asked.project_id,
            name=name,
            now=asked.services.now(),
            by=asked.member.email,
        )


def _put(asked: Visit, dataset: Dataset, cases: list[Case], message: str) -> Grown:
    return put_cases(
        asked.services.records,
        dataset,
        cases,
        new=[case.id for case in cases],
        author=asked.member.email,
        message=message,
        now=asked.services.now(),
    )
