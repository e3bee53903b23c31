"""What is kept of the playground: a column as a prompt's next version, a question and its answer as a case."""

from __future__ import annotations

import msgspec

from ratchet.datasets.fields import input_id
from ratchet.datasets.growing import Grown, put_cases
from ratchet.domain.cases import Case
from ratchet.domain.playground import RAW, Column, ColumnAnswer, DraftState
from ratchet.errors import InvalidRequest, NotFound
from ratchet.prompts.checking import check_name, check_template
from ratchet.prompts.hashing import content_hash, normalised
from ratchet.store.records.datasets import create_dataset, dataset_named
from ratchet.store.records.prompts import NewVersion, Pushed, push_versions
from ratchet.studio.requesting import as_template, request_body, variables_of
from ratchet.studio.services import Visit

__all__ = ["keep_case", "keep_version"]


def keep_version(asked: Visit, column: Column, name: str, message: str) -> Pushed:
    """The column as the next version of the prompt `name`, which is made where there is none.

    Raises InvalidRequest for what no template can say, and what `push_versions` raises.
    """
    if any(each.role == RAW for each in column.messages):
        raise InvalidRequest(
            "A message that is written as JSON can't be part of a prompt.",
            "Write it as plain text, or take it out.",
            param="messages",
        )
    template = normalised(as_template(column))
    check_template(template)
    new = NewVersion(
        prompt=check_name(name.strip()),
        template=template,
        hash=content_hash(template),
        parent=column.number if column.prompt == name.strip() and column.number else None,
    )
    (pushed,) = push_versions(
        asked.services.records,
        [new],
        project_id=asked.project_id,
        author=asked.member.email,
        message=message.strip(),
        now=asked.services.now(),
    )
    return pushed


def keep_case(
    asked: Visit, state: DraftState, column: Column, answer: ColumnAnswer | None, dataset: str, reference: str
) -> Grown:
    """What was asked as a case of `dataset`, which is made where there is none: the variables where the column takes
    any, else its messages. `reference` is what a good answer is, "" where nobody has said so.
    """
    names = variables_of(column)
    said = request_body(msgspec.structs.replace(column, model=column.model or "-"), state.variables)
    content = {name: state.variables.get(name, "") for name in names} if names else said["messages"]
    case = Case(
        id="",
        input=content,
        reference=reference.strip() or None,
        previous_answer=answer.text if answer else "",
        trace_id=answer.trace_id if answer else "",
        origin="playground",
    )
    records = asked.services.records
    try:
        found = dataset_named(records, project_id=asked.project_id, name=dataset.strip())
    except NotFound:
        found = create_dataset(
            records,
            project_id=asked.project_id,
            name=dataset.strip(),
            now=asked.services.now(),
            by=asked.member.email,
        )
    case = msgspec.structs.replace(case, id=input_id(case))
    return put_cases(
        records,
        found,
        [case],
        new=[case.id],
        author=asked.member.email,
        message="From the playground",
        now=asked.services.now(),
    )
