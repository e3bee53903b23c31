"""Testing a judge: a judge's prompt with a model, over outputs that people labelled.

The judge's verdicts are set beside the labels (calibration.py): how far they agree, and how far length, order and its
own family's manner move it. Asking is handed in; nothing here knows who answers.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from ratchet.domain.cases import Case, Verdict
from ratchet.errors import InvalidRequest, RatchetError
from ratchet.evals.calibration import BothOrders, Calibration, PositionBias, Rated, calibrate, position_bias
from ratchet.evals.comparison import Estimate
from ratchet.evals.labelled import LabelledOutput
from ratchet.scorers.builtin import BUILTIN
from ratchet.scorers.judges.pairwise import Better
from ratchet.scorers.judges.settings import JudgeSettings
from ratchet.scorers.registry import read_spec
from ratchet.scorers.scorer import Generate, Tools

__all__ = [
    "Disagreement",
    "JudgeTest",
    "Judging",
    "check_labels",
    "judges_of",
    "measure_judge",
    "same_family",
]

_SHOWN = 10  # disagreements
_PAIRS = 100  # of outputs for one question, whose order is tried
_SIDES = {"A": "a", "B": "b", "tie": "tie"}


class Judging(msgspec.Struct, frozen=True, kw_only=True):
    """A judge to be tested: its settings, with the route that answers."""

    name: str
    settings: JudgeSettings

    @property
    def model(self) -> str:
        return self.settings.route


class Disagreement(msgspec.Struct, frozen=True, kw_only=True):
    """An output that judge and person see differently. Both values from 0 to 1. `line` is that of a file, `name` which
    answer of a run it is."""

    line: int
    name: str
    output: str
    human: float
    judge: float
    reasoning: str


class JudgeTest(msgspec.Struct, frozen=True, kw_only=True):
    """What came of testing one judge. `prompt` is `name@hash`. `unscored` counts why outputs have no verdict.

    `pairs` of outputs for one question were shown in both orders, with the prompt of `better`, whatever the judge:
    `position` is what the order did. `pairs_agreement`: how often it prefers, of two outputs for one question, the one that people rated higher.
    `cost` in US dollars, None where that of any call is unknown. `seconds` from the first call to the last.
    """

    judge: str
    prompt: str
    model: str
    answered_by: str
    outputs: int
    calibration: Calibration
    pairs: int
    position: PositionBias | None
    pairs_agreement: Estimate | None
    unscored: dict[str, int]
    disagreements: list[Disagreement]
    calls: int
    input_tokens: int
    output_tokens: int
    cost: Decimal | None
    seconds: float

    def with_pairs_of(self, other: JudgeTest) -> JudgeTest:
        """With what was found on pairs by another test of the same model, where this one has none of its own."""
        if self.position is not None:
            return self
        return msgspec.structs.replace(
            self, pairs=other.pairs, position=other.position, pairs_agreement=other.pairs_agreement
        )


def judges_of(specs: Sequence[Any], models: Sequence[str]) -> list[Judging]:
    """Every judge with every model; without models, each with the route that it names itself.

    Raises InvalidRequest for a scorer that is no judge, or can't be compared with labels.
    """
    found: list[Judging] = []
    for spec in specs:
        name, settings = read_spec(spec)
        if not isinstance(settings, JudgeSettings):
            judges = ", ".join(each.about.name for each in BUILTIN.values() if each.about.group == "judge")
            raise InvalidRequest(
                f"{name} is no judge that reads an output.", f"There are {judges}.", param="judge"
            )
        for model in models or [settings.route]:
            routed = msgspec.structs.replace(settings, route=model)
            found.append(Judging(name=settings.name or name, settings=routed))
    return found


def check_labels(judge: Judging, rows: Sequence[LabelledOutput]) -> list[float]:
    """Each label as a value of this judge, NaN where there is none. Raises InvalidRequest naming the place."""
    values: list[float] = []
    for row in rows:
        if row.value is not None:
            values.append(row.value)
            continue
        try:
            values.append(math.nan if row.label is None else judge.settings.human(row.label))
        except ValueError as problem:
            raise InvalidRequest(
                f"The label in {row.place} {problem} for the judge {judge.name}.",
                "Labels have to be on the judge's own scale.",
                param="label",
            ) from None
    return values


async def measure_judge(
    judge: Judging,
    rows: Sequence[LabelledOutput],
    generate: Generate,
    *,
    clock: Callable[[], float],
    concurrency: int = 16,
    pairs: int = _PAIRS,
    seed: int = 0,
    told: Callable[[int, int, Decimal], None] = lambda _done, _all, _cost: None,
) -> JudgeTest:
    """Runs one judge over all rows, and over pairs of outputs for one question in both orders.

    `clock` gives seconds. `told` hears after each verdict how many are done, of how many, and the cost so far. Raises
    InvalidRequest for labels on another scale, RatchetError where the judge can't be asked at all.
    """
    human = check_labels(judge, rows)
    prompt = judge.settings.judge_prompt()
    began = clock()
    asked = _Asked(generate, concurrency, told)
    paired = _pairs(rows, human, pairs) if not isinstance(judge.settings, Better) else []
    asked.total = len(rows) + len(paired)
    verdicts, sides = await asked.all(judge, rows, paired)
    rated = [
        Rated(
            case_id=row.case.id,
            judge=verdict.value,
            human=label,
            source=row.source,
            length=len(row.output.text) or None,
            own=same_family(row.by, verdict.attributes.get("model", judge.model)),
        )
        for row, verdict, label in zip(rows, verdicts, human, strict=True)
    ]
    everything = [*verdicts, *sides]
    return JudgeTest(
        judge=judge.name,
        prompt=f"{prompt.name}@{prompt.hash}",
        model=judge.model,
        answered_by=next((found for verdict in verdicts if (found := verdict.attributes.get("model"))), ""),
        outputs=len(rows),
        calibration=calibrate(rated, seed=seed),
        pairs=len(paired),
        position=_position(rows, verdicts, paired, sides),
        pairs_agreement=_pairs_agreement(paired, sides, human, seed),
        unscored=_unscored(verdicts),
        disagreements=_disagreements(rows, verdicts, human),
        calls=_sum(everything, "calls"),
        input_tokens=_sum(everything, "input_tokens"),
        output_tokens=_sum(everything, "output_tokens"),
        cost=_cost(everything),
        seconds=clock() - began,
    )


# -- asking ------------------------------------------------------------------------------------------------------


class _Asked:
    """The calls of one test: so many at once, and counted."""

    def __init__(
        self, generate: Generate, concurrency: int, told: Callable[[int, int, Decimal], None]
    ) -> None:
        self._generate, self._told = generate, told
        self._free = asyncio.Semaphore(concurrency)
        self.total = self._done = 0
        self._cost = Decimal(0)

    async def all(
        self, judge: Judging, rows: Sequence[LabelledOutput], paired: Sequence[tuple[int, int]]
    ) -> tuple[list[Verdict], list[Verdict]]:
        """The verdicts on the rows, and those on the pairs."""
        about = BUILTIN[judge.settings.kind].about
        tools = Tools(generate=self._generate)
        scorer = judge.settings.make(about, tools)
        both = Better(route=judge.model, temperature=judge.settings.temperature, against="previous")
        better = both.make(BUILTIN["better"].about, tools)

        async def one(scorer: Any, case: Case, row: LabelledOutput) -> Verdict:
            async with self._free:
                verdict: Verdict = (await scorer(case, row.output))[0]
            self._done += 1
            self._cost += Decimal(verdict.attributes.get("cost", 0))
            self._told(self._done, self.total, self._cost)
            return verdict

        def other(pair: tuple[int, int]) -> Case:
            return msgspec.structs.replace(rows[pair[0]].case, previous_answer=rows[pair[1]].output.text)

        try:
            async with asyncio.TaskGroup() as tasks:
                graded = [tasks.create_task(one(scorer, row.case, row)) for row in rows]
                compared = [tasks.create_task(one(better, other(pair), rows[pair[0]])) for pair in paired]
        except* RatchetError as group:
            raise _first(group) from None
        return [task.result() for task in graded], [task.result() for task in compared]


def _first(group: BaseExceptionGroup[RatchetError]) -> RatchetError:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


# -- measuring ---------------------------------------------------------------------------------------------------


def _pairs(rows: Sequence[LabelledOutput], human: Sequence[float], most: int) -> list[tuple[int, int]]:
    """Pairs of different outputs for one question; those that people rated differently come first."""
    together: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        together.setdefault(row.case.id, []).append(index)
    found = [
        pair
        for group in together.values()
        for pair in itertools.pairwise(group)
        if rows[pair[0]].output.text != rows[pair[1]].output.text
    ]
    return sorted(found, key=lambda pair: human[pair[0]] == human[pair[1]])[:most]


def _both_orders(case_id: str, source: str, attributes: Mapping[str, str]) -> BothOrders | None:
    forth, back = attributes.get("forth", ""), attributes.get("back", "")
    if not (forth and back):
        return None
    # Said of the second asking, A is the output that stood first there: b.
    return BothOrders(
        case_id=case_id,
        a_first=_SIDES[forth],
        b_first={"a": "b", "b": "a", "tie": "tie"}[_SIDES[back]],
        source=source,
    )


def _position(
    rows: Sequence[LabelledOutput],
    verdicts: Sequence[Verdict],
    paired: Sequence[tuple[int, int]],
    sides: Sequence[Verdict],
) -> PositionBias | None:
    """From pairs of outputs; for a judge that compares, from its own verdicts."""
    asked = [(rows[pair[0]], verdict) for pair, verdict in zip(paired, sides, strict=True)]
    asked += list(zip(rows, verdicts, strict=True))
    found = [
        orders
        for row, verdict in asked
        if (orders := _both_orders(row.case.id, row.source, verdict.attributes)) is not None
    ]
    return position_bias(found) if found else None


def _pairs_agreement(
    paired: Sequence[tuple[int, int]], sides: Sequence[Verdict], human: Sequence[float], seed: int
) -> Estimate | None:
    """Over pairs that people rated differently."""
    rated = [
        Rated(case_id=str(pair), judge=verdict.value, human=float(human[pair[0]] > human[pair[1]]))
        for pair, verdict in zip(paired, sides, strict=True)
        if not math.isnan(human[pair[0]] + human[pair[1]])
        and human[pair[0]] != human[pair[1]]
        and verdict.scored
    ]
    return calibrate(rated, seed=seed).agreement if rated else None


def _unscored(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """Why there is no verdict, the commonest reason first; what the judge said stays out of it."""
    counts: dict[str, int] = {}
    for verdict in verdicts:
        if not verdict.scored:
            why = verdict.comment.partition(" It said: ")[0]
            counts[why] = counts.get(why, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def _disagreements(
    rows: Sequence[LabelledOutput], verdicts: Sequence[Verdict], human: Sequence[float]
) -> list[Disagreement]:
    """The widest first."""
    found = [
        Disagreement(
            line=row.line,
            name=row.name,
            output=row.output.text,
            human=label,
            judge=verdict.value,
            reasoning=verdict.comment,
        )
        for row, verdict, label in zip(rows, verdicts, human, strict=True)
        if verdict.scored and not math.isnan(label) and verdict.value != label
    ]
    return sorted(found, key=lambda one: (-abs(one.judge - one.human), one.line))[:_SHOWN]


def same_family(by: str, judge: str) -> bool | None:
    """Whether two models are of one family, by how their names begin; None where either is unknown."""
    first, second = _family(by), _family(judge)
    return first == second if first and second else None


def _family(model: str) -> str:
    name = model.lower().rpartition("/")[2]
    if re.match(r"o\d|chatgpt", name):
        return "gpt"
    found = re.match(r"[a-z]+", name)
    return found[0] if found else ""


def _sum(verdicts: Sequence[Verdict], name: str) -> int:
    return sum(int(verdict.attributes.get(name, 0)) for verdict in verdicts)


def _cost(verdicts: Sequence[Verdict]) -> Decimal | None:
    """None where any call's is unknown."""
    if any("cost" not in verdict.attributes for verdict in verdicts if verdict.attributes.get("calls")):
        return None
    return sum(
        (Decimal(verdict.attributes["cost"]) for verdict in verdicts if "cost" in verdict.attributes),
        Decimal(0),
    )
