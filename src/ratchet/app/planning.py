"""What a run will do, worked out before anything is paid: cases, candidates as they are now, scorers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from ratchet.app.asking import Asking
from ratchet.app.own_code import OwnCode
from ratchet.app.paths import DataDir
from ratchet.app.run_tools import RunTools
from ratchet.datasets.files import read_cases
from ratchet.domain.cases import Case
from ratchet.domain.prompts import DEFAULT_LABEL, PromptReference
from ratchet.domain.runs import OWN_SETTINGS, QUEUED, Candidate, Progress, Run
from ratchet.errors import Conflict, InvalidRequest, NotFound, Unavailable
from ratchet.evals.candidates import Asked, Resolved, check_inputs, resolve
from ratchet.evals.keeping import about_to
from ratchet.evals.suite import CandidateSettings, Suite, suite_of
from ratchet.prompts.template import compile_template
from ratchet.scorers.registry import make_scorers, route_of
from ratchet.scorers.scorer import Scorer, ScorerAbout
from ratchet.store.records import DEFAULT_PROJECT, Records
from ratchet.store.records.datasets import checked_version, dataset_named
from ratchet.store.records.datasets import read_cases as stored_cases
from ratchet.store.records.prompts import newest_version, version_of
from ratchet.store.records.releases import current_releases
from ratchet.store.records.runs import new_run_id

__all__ = [
    "Lookup",
    "Order",
    "Planned",
    "choose_cases",
    "order_of_queued",
    "plan_again",
    "plan_new",
    "suite_of_run",
]

_SEALED = "test"


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants to be run. `folder` is what a file's name and a callable's module are looked up in.

    `cases` stand in for the suite's dataset, and `objects` for modules that hold what a suite names `python:…`; `arrange` puts cases into the order in which they are asked; `cache` says whether answers of earlier runs will do.
    """

    suite: Suite
    folder: Path
    cases: Sequence[Case] | None = None
    objects: Mapping[str, Any] = field(default_factory=dict[str, Any])
    arrange: Callable[[Sequence[Case]], Sequence[Case]] = list
    cache: bool = True
    author: str = "local"


@dataclass(frozen=True, slots=True)
class Planned:
    run: Run
    suite: Suite
    cases: Sequence[Case]
    candidates: Sequence[Asked]
    scorers: Mapping[str, Sequence[Scorer]]  # by candidate
    cache: bool

    @property
    def abouts(self) -> list[ScorerAbout]:
        """What the scorers are, which is the same for every candidate."""
        return [each.about for each in next(iter(self.scorers.values()))]


class Lookup:
    """Looks candidates up in the records and in the snapshot that the run will be served from."""

    def __init__(self, asking: Asking, code: OwnCode) -> None:
        self._records = asking.records
        self._inside = asking.inside
        self._code = code

    def prompt(self, reference: str) -> Resolved:
        named = PromptReference.parse(reference)
        if named is None:
            raise InvalidRequest(
                f"{reference!r} names no prompt.",
                "Write NAME, NAME@label or NAME#number.",
                param="candidates",
            )
        number = named.number or _released(self._records, named)
        found = version_of(self._records, named.name, number, project_id=DEFAULT_PROJECT)
        takes = compile_template(found.template)
        return Resolved(
            name=named.name,
            number=found.number,
            hash=found.hash,
            model=found.template.model,
            required=takes.required,
            optional=takes.optional,
            fixed=tuple(found.template.parameters),
        )

    def identity(self, model: str) -> str:
        return self._inside.identity(model)

    def takes_seed(self, model: str) -> bool:
        return self._inside.takes_seed(model)

    def app_version(self, target: str) -> str:
        return self._code.app_version(target)


def plan_new(
    order: Order, asking: Asking, tools: RunTools, data: DataDir, *, now: int, queued: Run | None = None
) -> Planned:
    """A new run, or the one that was `queued`; nothing is written down yet.

    Raises RatchetError for anything that can't be run as it stands.
    """
    suite = order.suite
    name, version, cases = _cases(order, asking.records)
    candidates = [resolve(each, Lookup(asking, tools.code)) for each in suite.candidates]
    scorers = _scorers(suite, tools, candidates)
    _check_judges(suite, asking)
    _check_gate(suite, [each.about.name for each in next(iter(scorers.values()))])
    for each in candidates:
        if each.about.kind == "python":
            tools.code.function(each.about.target)
    check_inputs(candidates, cases)
    run = Run(
        id=queued.id if queued else new_run_id(now),
        project_id=DEFAULT_PROJECT,
        suite=suite.title,
        settings={
            **suite.as_settings(),
            "folder": str(order.folder),
            "cache": order.cache,
            **({QUEUED: True} if queued else {}),
        },
        dataset=name,
        dataset_version=version,
        cases=len(cases),
        candidates=[each.about for each in candidates],
        scorers=[about_to(each.about) for each in next(iter(scorers.values()))],
        repeats=suite.repeats,
        author=queued.author if queued else order.author,
        place=data.place,
        created=queued.created if queued else now,
        touched=now,
        progress=Progress(total=len(cases) * len(candidates) * suite.repeats),
    )
    return Planned(run, suite, cases, candidates, scorers, order.cache)


def plan_again(run: Run, cases: Sequence[Case], asking: Asking, tools: RunTools, data: DataDir) -> Planned:
    """What is left of a run that was interrupted, stopped or cancelled.

    Raises Conflict where a candidate is not what it was, or where what was paid lies elsewhere: half a run of one thing
    and half of another would say nothing.
    """
    if run.place and run.place != data.place:
        raise Conflict(
            f"The run {run.id} was begun in {run.place}, and what it has paid for is known there.",
            "Resume it there, or start another here.",
        )
    suite = suite_of_run(run)
    resolver = Lookup(asking, tools.code)
    candidates: list[Asked] = []
    for settings, before in zip(suite.candidates, run.candidates, strict=True):
        found = resolve(_as_before(settings, before), resolver)
        found = msgspec.structs.replace(
            found, about=msgspec.structs.replace(found.about, target=before.target)
        )
        if found.about != before:
            raise Conflict(
                f"The candidate {before.name} is not what it was when the run {run.id} began.",
                "Start another run.",
            )
        candidates.append(found)
    scorers = _scorers(suite, tools, candidates)
    return Planned(run, suite, cases, candidates, scorers, bool(run.settings.get("cache", True)))


def suite_of_run(run: Run) -> Suite:
    """The suite as it was read when the run began."""
    return suite_of({key: value for key, value in run.settings.items() if key not in OWN_SETTINGS})


def _scorers(suite: Suite, tools: RunTools, candidates: Sequence[Asked]) -> dict[str, Sequence[Scorer]]:
    """A set for each candidate: some scorers ask the candidate again."""
    names = [each.about.name for each in candidates]
    found: dict[str, Sequence[Scorer]] = {name: make_scorers(suite.scorers, tools.of(name)) for name in names}
    tools.check([scorer.about for scorers in found.values() for scorer in scorers])
    return found


def _check_judges(suite: Suite, asking: Asking) -> None:
    """Raises NotFound for a judge whose route does not exist: later, answers would have been paid for."""
    for route in filter(None, map(route_of, suite.scorers)):
        asking.inside.identity(route)


def _check_gate(suite: Suite, names: Sequence[str]) -> None:
    """Raises InvalidRequest where the gate names a scorer that gives no verdicts here."""
    gate = suite.gate
    if gate is None:
        return
    for name in filter(None, [gate.scorer, *gate.limits, *gate.invariants]):
        if not any(name == known or name.startswith(f"{known}.") for known in names):
            raise InvalidRequest(
                f"The gate names the scorer {name!r}, and the suite has {', '.join(names) or 'none'}.",
                "Add it to `scorers`, or name one of those.",
                param="gate",
            )


def _as_before(settings: CandidateSettings, before: Candidate) -> CandidateSettings:
    """With the version of the prompt that the run began with, whatever its label says by now."""
    changes: dict[str, Any] = {"name": before.name}
    if before.kind == "prompt":
        changes["prompt"] = f"{_prompt_name(before.target)}#{before.version}"
    return settings.model_copy(update=changes)


def _prompt_name(target: str) -> str:
    named = PromptReference.parse(target)
    return named.name if named else target


def _released(records: Records, named: PromptReference) -> int:
    """The version that a label serves, or the newest of a prompt that is nowhere released."""
    label = named.label or DEFAULT_LABEL
    released = current_releases(records, project_id=DEFAULT_PROJECT).get(named.name, [])
    found = next((each for each in released if each.label == label), None)
    if found is None:
        newest = newest_version(records, named.name, project_id=DEFAULT_PROJECT)
        if not named.label:
            return newest.number
        labels = ", ".join(each.label for each in released) or "no label"
        raise NotFound(
            f"The prompt {named.name!r} has no label {label!r}.",
            f"It has {labels}; its newest version is prompt:{named.name}#{newest.number}.",
        )
    if len(found.split) != 1:
        shares = ", ".join(f"prompt:{named.name}#{share.version}" for share in found.split)
        raise InvalidRequest(
            f"{named.name}@{label} is split between versions at the moment.",
            f"Name the one to test: {shares}.",
            param="candidates",
        )
    return found.split[0].version


def _cases(order: Order, records: Records) -> tuple[str, str, list[Case]]:
    """The dataset's name, its version, and the cases that the suite wants."""
    suite = order.suite
    if order.cases is None:
        name, version, cases = _read(suite.dataset, order.folder, lambda: records)
    else:
        name, version, cases = suite.dataset, _version_of(order.cases), list(order.cases)
    wanted = _wanted(name, cases, suite.split, suite.tags)
    return name, version, list(order.arrange(wanted))


def choose_cases(
    dataset: str, folder: Path, records: Callable[[], Records], *, split: str = "", tags: Sequence[str] = ()
) -> list[Case]:
    """The cases that a suite in `folder` with these keys would run. `records` is asked for a registered dataset only.

    Raises NotFound, and InvalidRequest where there is none.
    """
    name, _, cases = _read(dataset, folder, records)
    return _wanted(name, cases, split, tags)


def _wanted(name: str, cases: Sequence[Case], split: str, tags: Sequence[str]) -> list[Case]:
    wanted = [
        case
        for case in cases
        if (case.split == split if split else case.split != _SEALED)
        and (not tags or set(tags) & set(case.tags))
    ]
    if not wanted:
        sealed = sum(case.split == _SEALED for case in cases)
        hint = f" {sealed} are sealed: `split: test` runs those." if sealed and not split else ""
        raise InvalidRequest(
            f"The dataset {name} has no case for this suite: {len(cases)} in all.{hint}",
            "Check `split` and `tags`, or add cases.",
            param="dataset",
        )
    return wanted


def _read(named: str, folder: Path, records: Callable[[], Records]) -> tuple[str, str, list[Case]]:
    """A file's cases, or a registered dataset's: its name, its version, all its cases."""
    path = folder / named
    if path.is_file():
        cases = read_cases(path)
        return named, _version_of(cases), cases
    name, at, number = named.partition("@")
    if at and not number.isdigit():
        raise InvalidRequest(f"{named!r} names no version.", "Write NAME@number.", param="dataset")
    stored = records()
    try:
        dataset = dataset_named(stored, project_id=DEFAULT_PROJECT, name=name)
    except (NotFound, Unavailable) as error:
        raise NotFound(
            f"There is neither a file {path} nor a dataset {name!r}.",
            "Give a file beside the suite, or the name of a registered dataset.",
            param="dataset",
        ) from error
    version = checked_version(dataset, int(number) if at else None)
    return name, str(version), stored_cases(stored, dataset, version=version, include_sealed=True)


def _version_of(cases: Sequence[Case]) -> str:
    """Cases outside a dataset have no number: a hash of what they say."""
    return hashlib.sha256(msgspec.json.encode(cases)).hexdigest()[:12]


def order_of_queued(run: Run, folder: Path) -> Order:
    """What a run that waits to be begun wants."""
    return Order(suite_of_run(run), folder, cache=bool(run.settings.get("cache", True)))
