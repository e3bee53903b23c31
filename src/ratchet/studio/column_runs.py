"""A run of the playground's columns: each is a candidate, and a dataset's cases take the place of what was tried."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ratchet.domain.playground import Column, DraftState
from ratchet.domain.prompts import PREFIX, PromptVersion
from ratchet.errors import InvalidRequest, NotFound
from ratchet.evals.suite import CandidateSettings, Suite
from ratchet.store.records.prompts import version_of
from ratchet.studio.drafting import from_version
from ratchet.studio.keeping import keep_version
from ratchet.studio.queueing import suite_of_form
from ratchet.studio.requesting import request_body, variables_of
from ratchet.studio.services import Visit

__all__ = ["candidate_of", "column_suite", "fields_of", "saved_columns", "version_of_column"]

_FIELDS = ("dataset", "scorers", "max_cost", "save_as")  # of the form
_TAKEN = ("model", "prompt_model", "messages", "variables", "stream", "stream_options")
_LEADING = ("system", "developer")


def column_suite(asked: Visit, state: DraftState, fields: Mapping[str, str]) -> Suite:
    """What `fields` say over a dataset, with the columns as candidates, the first as the baseline.

    Raises InvalidRequest naming the column or the field.
    """
    found: list[dict[str, Any]] = []
    labels: set[str] = set()
    for place, column in enumerate(state.columns, 1):
        settings = candidate_of(column, state.variables, version_of_column(asked, column), place)
        label = CandidateSettings.model_validate(settings).label
        if label in labels:
            settings["name"] = f"{label} · column {place}"[:200]
        labels.add(label)
        found.append(settings)
    lines = "\n".join(json.dumps(each) for each in found)
    return suite_of_form({**fields, "name": "playground", "candidates": lines})


def candidate_of(
    column: Column, variables: Mapping[str, str], version: PromptVersion | None, place: int
) -> dict[str, Any]:
    """A column as a suite writes a candidate. Raises InvalidRequest for one that is neither a version nor plain."""
    body = request_body(column, variables, version)
    model: str = body["model"]
    parameters = {name: value for name, value in body.items() if name not in _TAKEN}
    settings: dict[str, Any] = {"parameters": parameters} if parameters else {}
    if "variables" in body:
        settings["prompt"] = model.removeprefix(PREFIX)
        return settings | ({"model": body["prompt_model"]} if "prompt_model" in body else {})
    if variables_of(column) or column.examples:
        raise InvalidRequest(
            f"Column {place} is no version of a prompt.",
            "Name a prompt to save it under, or save it as a version first.",
            param="save_as",
        )
    system: list[str] = []
    for message in body["messages"]:  # what follows is what was tried, and a case is asked in its place
        if message.get("role") not in _LEADING or not isinstance(message.get("content"), str):
            break
        system.append(message["content"])
    if system:
        settings["system"] = "\n\n".join(system)
    kind = "prompt" if model.startswith(PREFIX) else "model" if "/" in model else "route"
    return {kind: model.removeprefix(PREFIX), **settings}


def saved_columns(asked: Visit, state: DraftState, name: str) -> DraftState:
    """The draft with every column that takes variables and is no version saved as one of the prompt `name`."""
    columns: list[Column] = []
    for column in state.columns:
        version = version_of_column(asked, column)
        if (variables_of(column) or column.examples) and "variables" not in request_body(
            column, state.variables, version
        ):
            pushed = keep_version(asked, column, name, "From the playground")
            columns.append(from_version(pushed.version, column.id))
        else:
            columns.append(column)
    return msgspec.structs.replace(state, columns=columns)


def fields_of(typed: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """What the form says of the run."""
    return {name: "".join(typed.get(f"d.{name}", ())[:1]).strip() for name in _FIELDS}


def version_of_column(asked: Visit, column: Column) -> PromptVersion | None:
    """The version that a column was loaded from or saved as; None where there is none."""
    if not column.prompt or not column.number:
        return None
    try:
        return version_of(asked.services.records, column.prompt, column.number, project_id=asked.project_id)
    except NotFound:  # the prompt is gone; what it said stands in the column
        return None
