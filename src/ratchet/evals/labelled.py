"""Outputs with a person's label, from a file: what a judge is tested on."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from ratchet.datasets.fields import Unfit, case_of, input_id
from ratchet.domain.cases import Case, Output
from ratchet.errors import InvalidRequest

__all__ = ["LabelledOutput", "read_labelled"]

_REMEDY = 'Write one object a line: {"input": …, "output": …, "reference": …, "label": …}.'


class LabelledOutput(msgspec.Struct, frozen=True, kw_only=True):
    """`label` is what a person said of the output, None where nobody has. `by` names the model that wrote it, "" where
    unknown. `line` counts from 1."""

    case: Case
    output: Output
    label: Any = None
    by: str = ""
    line: int = 0

    @property
    def source(self) -> str:
        """Outputs for one question say less than as many for different ones."""
        return self.case.source or self.case.id


def read_labelled(content: bytes, name: str) -> list[LabelledOutput]:
    """The lines of a JSONL file: a case's fields, and `output`, `label` and `by`. `name` is the file's, for errors.

    Raises InvalidRequest, naming file, line and field.
    """
    found: list[LabelledOutput] = []
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        try:
            fields: Any = msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            raise InvalidRequest(f"{where} is not JSON: {error}.", _REMEDY) from None
        if not isinstance(fields, dict):
            raise InvalidRequest(f"{where} is no object.", _REMEDY)
        found.append(_row(cast("dict[str, Any]", fields), where, number))
    if not found:
        raise InvalidRequest(f"{name} is empty.", _REMEDY)
    if all(row.label is None for row in found):
        raise InvalidRequest(
            f"Nothing in {name} has a `label`.",
            "Let a person rate some of the outputs: a judge is tested against people.",
        )
    return found


def _row(fields: dict[str, Any], where: str, number: int) -> LabelledOutput:
    own = dict(fields)
    output, label, by = own.pop("output", None), own.pop("label", None), own.pop("by", "")
    if not isinstance(output, str):
        raise InvalidRequest(f"{where} has no text in `output`.", _REMEDY, param="output")
    if not isinstance(by, str):
        raise InvalidRequest(
            f"{where}: `by` is no text.", "Name the model that wrote the output.", param="by"
        )
    try:
        case = case_of(own)
    except Unfit as problem:
        raise InvalidRequest(f"{where}: {problem.message}", problem.remedy, param=problem.field) from None
    if not case.id:
        case = msgspec.structs.replace(case, id=input_id(case))
    return LabelledOutput(case=case, output=Output(text=output), label=label, by=by, line=number)
