"""Outputs with a person's label, from a file or from a run: what a judge is tested on."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from ratchet.datasets.fields import Unfit, case_of, input_id
from ratchet.domain.cases import Case, Output
from ratchet.domain.runs import Candidate, Result, Run
from ratchet.errors import InvalidRequest

__all__ = ["LabelledOutput", "labelled_of_run", "read_labelled"]

_REMEDY = 'Write one object a line: {"input": …, "output": …, "reference": …, "label": …}.'


class LabelledOutput(msgspec.Struct, frozen=True, kw_only=True):
    """`label` is what a person said of the output on the judge's own scale, or `value` is, as a judge's value from 0 to
    1; None where nobody has. `by` names the model that wrote it, "" where unknown. `line` of its file counts from 1;
    of a run, `name` says which answer it is."""

    case: Case
    output: Output
    label: Any = None
    value: float | None = None
    by: str = ""
    line: int = 0
    name: str = ""

    @property
    def labelled(self) -> bool:
        return self.label is not None or self.value is not None

    @property
    def place(self) -> str:
        """Where it stands, for people."""
        return self.name or f"line {self.line}"

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
        except (msgspec.DecodeError, RecursionError) as error:
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


def labelled_of_run(
    run: Run,
    results: Sequence[Result],
    cases: Sequence[Case],
    label: str,
    *,
    unlabelled: int = 0,
    seed: int = 0,
) -> list[LabelledOutput]:
    """The answers of a run that people have scored under the name `label`, and so many others, drawn at random.

    Several people's scores of one answer are averaged. Numbers from 0 to 1 are values; where any is beyond that, all
    are grades on the judge's own scale. What failed has no output, and is left out. Raises InvalidRequest where nobody
    has scored anything under that name.
    """
    known = {case.id: case for case in cases}
    written = {each.name: _model(each) for each in run.candidates}
    answered = [each for each in results if not each.output.error and each.case_id in known]
    scored = [each for each in answered if label in each.labels]
    if not scored:
        names = Counter(name for each in answered for name in each.labels)
        there = f"There are scores under {', '.join(sorted(names))}." if names else "Nobody has scored any."
        raise InvalidRequest(
            f"No answer of the run {run.id} has a person's score under {label!r}. {there}",
            "Score some: on the page of a trace, or with ratchet score create.",
            param="label",
        )
    grades = any(not 0 <= each.labels[label] <= 1 for each in scored)
    others = [each for each in answered if label not in each.labels]
    if unlabelled < len(others):
        others = random.Random(seed).sample(others, unlabelled)  # noqa: S311 - a sample, no secret
    rows: list[LabelledOutput] = []
    for each in [*scored, *others]:
        said = each.labels.get(label)
        rows.append(
            LabelledOutput(
                case=known[each.case_id],
                output=each.output,
                label=said if grades else None,
                value=None if grades else said,
                by=written.get(each.candidate, ""),
                name=f"{each.case_id} of {each.candidate}"
                + (f", repeat {each.repeat}" if run.repeats > 1 else ""),
            )
        )
    return rows


def _model(candidate: Candidate) -> str:
    """The model that writes a candidate's answers; "" of an app."""
    if candidate.kind not in ("prompt", "route", "model"):
        return ""
    return candidate.content.rpartition("\n")[2].partition(" at ")[0]


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
