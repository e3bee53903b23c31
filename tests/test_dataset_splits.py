"""Duplicates are found, splits don't leak, and both stay so while a dataset grows."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from ratchet.datasets.duplicates import ALIKE, clusters, find_duplicates
from ratchet.datasets.growing import put_cases, split_dataset
from ratchet.datasets.sketches import SketchTable, resemblance, runs_of, sketch_of
from ratchet.datasets.splits import SHARES, assign_splits, checked_shares
from ratchet.demo.questions import QUESTIONS
from ratchet.domain.cases import Case
from ratchet.errors import InvalidRequest
from ratchet.store.records import Records
from ratchet.store.records.datasets import create_dataset, dataset_named, read_cases, versions_of

NOW = 1_700_000_000 * 10**9
TEXTS = [one.text for one in QUESTIONS if len(one.text) >= 25]


def typo(text: str, at: int) -> str:
    place = at % (len(text) - 1)
    return text[:place] + text[place + 1 :]


EDITS: list[Callable[[str, int], str]] = [
    typo,
    lambda text, at: typo(typo(text, at), at * 7),
    lambda text, at: text.upper(),
    lambda text, at: re.sub(r"[?.!,]", "", text).lower() + " ...",
    lambda text, at: f"Hello, {text}",
    lambda text, at: f"{text} Thanks in advance!",
    lambda text, at: f"  {text.replace(' ', '  ')}\n",
    lambda text, at: " ".join(text.split()[2:] + text.split()[:2]),
    lambda text, at: f"{text} My order number is {at}{at}.",
]


def case(identity: str, asked: Any, **fields: Any) -> Case:
    return Case(id=identity, input=asked, **fields)


def sketched(cases: list[Case]) -> list[bytes]:
    return [sketch_of(one) for one in cases]


def planted(copies: int, seed: int) -> list[Case]:
    """Every question, and near-duplicates of each."""
    dice = random.Random(seed)
    found = [case(f"q{number}", text) for number, text in enumerate(TEXTS)]
    for number, text in enumerate(TEXTS):
        for edit in dice.sample(EDITS, copies):
            found.append(case(f"q{number}-{len(found)}", edit(text, dice.randrange(1, 999))))
    dice.shuffle(found)
    return found


def leaks(cases: list[Case]) -> list[tuple[str, str]]:
    """Pairs of different splits that are alike, compared exactly, each with each."""
    runs = {one.id: runs_of(one) for one in cases}
    return [
        (one.id, other.id)
        for one, other in combinations([each for each in cases if each.split], 2)
        if one.split != other.split and resemblance(runs[one.id], runs[other.id]) >= ALIKE
    ]


def with_splits(cases: list[Case], splits: dict[str, str]) -> list[Case]:
    return [case(one.id, one.input, source=one.source, split=splits.get(one.id, "")) for one in cases]


@pytest.mark.parametrize("seed", range(3))
def test_planted_near_duplicates_never_leak(seed: int) -> None:
    cases = planted(4, seed)
    done = assign_splits(cases, sketched(cases), SHARES)
    assert len(done.splits) == len(cases)
    assert leaks(with_splits(cases, done.splits)) == []
    families: dict[str, set[str]] = {}
    for one in cases:
        families.setdefault(one.id.partition("-")[0], set()).add(done.splits[one.id])
    torn = [name for name, splits in families.items() if len(splits) > 1]
    assert torn == [], "every planted near-duplicate is where its original is"
    assert abs(done.sizes["test"] / len(cases) - 0.2) < 0.05
    assert abs(done.sizes["train"] / len(cases) - 0.6) < 0.05


def test_a_sketch_estimates_what_it_says() -> None:
    cases = planted(3, 1)
    runs = [runs_of(one) for one in cases]
    errors = np.array(
        [
            estimate - resemblance(runs[row], runs[other])
            for row, estimates in SketchTable(sketched(cases)).estimates()
            for other, estimate in enumerate(estimates)
        ]
    )
    assert abs(errors.mean()) < 0.01
    assert errors.std() < 0.07
    assert {len(one) for one in sketched(cases)} == {260}


def test_clusters_are_those_of_every_pair_compared() -> None:
    cases = planted(2, 5)
    labels = clusters(cases, sketched(cases))
    runs = [runs_of(one) for one in cases]
    wanted = list(range(len(cases)))
    for one, other in combinations(range(len(cases)), 2):
        if resemblance(runs[one], runs[other]) >= ALIKE and wanted[one] != wanted[other]:
            old, new = wanted[other], wanted[one]
            wanted = [new if label == old else label for label in wanted]
    same = {(one, other) for one, other in combinations(range(len(cases)), 2) if wanted[one] == wanted[other]}
    found = {
        (one, other) for one, other in combinations(range(len(cases)), 2) if labels[one] == labels[other]
    }
    missed = same - found
    assert found <= same
    assert len(missed) <= len(same) // 100, "an estimate is three standard deviations off for one pair in 370"


def test_sources_stay_together_and_chains_too() -> None:
    cases = [case(f"{number}", text, source=f"user-{number % 5}") for number, text in enumerate(TEXTS)]
    done = assign_splits(cases, sketched(cases), SHARES)
    by_source: dict[str, set[str]] = {}
    for one in cases:
        by_source.setdefault(one.source, set()).add(done.splits[one.id])
    assert all(len(splits) == 1 for splits in by_source.values())
    assert done.largest >= 0.2


def test_what_all_cases_begin_with_makes_none_alike() -> None:
    rules = {"role": "system", "content": "You are the assistant of a shop. " * 20}
    cases = [case(str(n), [rules, {"role": "user", "content": text}]) for n, text in enumerate(TEXTS)]
    plain = [case(str(n), text) for n, text in enumerate(TEXTS)]
    assert list(clusters(cases, sketched(cases))) == list(clusters(plain, sketched(plain)))


@pytest.mark.parametrize("asked", ["?", "🙂", "a", [{"role": "user", "content": ""}], {"q": None}, "\ud800"])
def test_whatever_is_asked_can_be_compared(asked: Any) -> None:
    one = case("x", asked)
    assert resemblance(runs_of(one), runs_of(one)) == 1.0
    assert len(sketch_of(one)) == 260


def test_duplicates() -> None:
    known = [
        case("k1", "How long can I return goods?", reference="30 days"),
        case("k2", "What is plan A?", reference="A"),
    ]
    fresh = [
        case("same", "How long can I return goods?", reference="30 days"),
        case("other", "How long can I return goods?", reference="60 days"),
        case("near", "how long can I return goods", reference="30 days"),
        case("open", "How long can I return GOODS??"),
        case("plan", "What is plan B?", reference="B"),
        case("new", "Where is my parcel?"),
        case("new2", "Where is my parcel?"),
        case("k2", "What is plan A?", reference="A+"),
        case("context", "How long can I return goods?", reference="30 days", context="Sale items"),
    ]
    found = find_duplicates(
        fresh, {one.id: sketch_of(one) for one in fresh}, [(one, sketch_of(one)) for one in known]
    )
    assert [(one.case.id, one.of, one.exact, one.differs) for one in found] == [
        ("same", "k1", True, False),
        ("other", "k1", True, True),
        ("near", "k1", False, False),
        ("open", "k1", False, False),
        ("new2", "new", True, False),
    ]


@pytest.mark.parametrize(
    "shares", [{}, {"train": 0.5}, {"train": 1.5, "dev": -0.5}, {"holdout": 1.0}, {"train": 0.8, "test": 0.3}]
)
def test_shares_that_are_no_whole_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(InvalidRequest):
        checked_shares(shares)


def grow(records: Records, cases: list[Case], **options: Any) -> Any:
    dataset = dataset_named(records, project_id="default", name="d")
    return put_cases(records, dataset, cases, author="a", message="m", now=NOW, **options)


def split(records: Records, **shares: float) -> Any:
    dataset = dataset_named(records, project_id="default", name="d")
    return split_dataset(records, dataset, shares or SHARES, author="a", now=NOW)


def held(records: Records, **options: Any) -> dict[str, Case]:
    dataset = dataset_named(records, project_id="default", name="d")
    read = read_cases(records, dataset, include_sealed=True, include_unaccepted=True, **options)
    return {one.id: one for one in read}


@pytest.fixture
def dataset(records: Records) -> Records:
    create_dataset(records, project_id="default", name="d", now=NOW, by="a")
    return records


def test_a_growing_dataset_never_leaks_and_nobody_moves(dataset: Records) -> None:
    cases = planted(4, 9)
    grow(dataset, cases[:60], keep_duplicates=True)
    assert {one.split for one in held(dataset).values()} == {""}
    done = split(dataset)
    assert sum(done.sizes.values()) + len(done.left_out) == 60
    for start in range(60, len(cases), 40):
        before = held(dataset)
        grow(dataset, cases[start : start + 40], keep_duplicates=True)
        after = held(dataset)
        assert {name: after[name].split for name in before} == {
            name: one.split for name, one in before.items()
        }
    everything = list(held(dataset).values())
    assert len(everything) == len(cases)
    assert leaks(everything) == []
    assert sum(not one.split for one in everything) < len(everything) / 10
    before = held(dataset)
    split(dataset)
    moved = [name for name, one in held(dataset).items() if before[name].split not in ("", one.split)]
    assert moved == []
    assert leaks(list(held(dataset).values())) == []


def test_what_would_leak_is_in_no_split(dataset: Records) -> None:
    first, second = (
        "How long can I return goods that I bought?",
        "Where do I find the serial number of a stove?",
    )
    grow(dataset, [case("a", first, split="train"), case("b", second, split="test")])
    done = grow(dataset, [case("bridge", f"{first} {second}")])
    grow(dataset, [case("c", f"Hi! {second}")], keep_duplicates=True)
    assert done.left_out == ["bridge"]
    assert {name: one.split for name, one in held(dataset).items()} == {
        "a": "train",
        "b": "test",
        "bridge": "",
        "c": "test",
    }
    assert grow(dataset, [case("d", f"{second} Thanks!", split="train")], keep_duplicates=True).left_out == [
        "d"
    ]


def test_a_changed_case_keeps_its_split_unless_it_leaks(dataset: Records) -> None:
    first, second = (
        "How long can I return goods that I bought?",
        "Where do I find the serial number of a stove?",
    )
    grow(dataset, [case("a", first, split="train"), case("b", second, split="test")])
    grow(dataset, [case("a", first, reference="30", split="test")])
    assert held(dataset)["a"].split == "train", "a known case keeps its split, whatever a file says"
    grow(dataset, [case("a", "Something else altogether, please?")])
    assert held(dataset)["a"].split == "train"
    assert grow(dataset, [case("a", f"{second} Hello")], keep_duplicates=True).left_out == ["a"]
    assert held(dataset)["a"].split == ""


def test_an_official_split_that_leaks_is_not_taken(dataset: Records) -> None:
    done = grow(
        dataset,
        [
            case("a", "What is the capital of France?", split="train"),
            case("b", "what is the capital of France", split="test"),
        ],
        keep_duplicates=True,
    )
    assert sorted(done.left_out) == ["a", "b"]


def test_synthetic_cases_wait_for_a_person(dataset: Records) -> None:
    grow(dataset, [case(str(n), text) for n, text in enumerate(TEXTS[:20])])
    split(dataset)
    written = case("s", "May I bring my dog to the shop in Graz?", origin="synthetic", accepted=False)
    grow(dataset, [written])
    assert held(dataset)["s"].split == ""
    at = dataset_named(dataset, project_id="default", name="d")
    assert "s" not in [one.id for one in read_cases(dataset, at, include_sealed=True)]
    grow(dataset, [case("s", written.input, origin="synthetic", accepted=True)])
    assert held(dataset)["s"].split in ("train", "dev", "test")


def test_importing_twice_changes_nothing(dataset: Records) -> None:
    cases = planted(1, 2)
    first = grow(dataset, cases, keep_duplicates=True)
    split(dataset)
    assert first.changed.added == len(cases)
    again = grow(dataset, cases)
    assert (again.changed.version, again.changed.unchanged) == (2, len(cases) - len(again.duplicates))
    assert len(versions_of(dataset, dataset_named(dataset, project_id="default", name="d"))) == 2


def test_a_group_that_is_nearly_everything_is_told(dataset: Records) -> None:
    grow(
        dataset,
        [case(str(n), f"What is {n} plus {n + 1} in decimal notation?") for n in range(30)],
        keep_duplicates=True,
    )
    done = split(dataset)
    assert done.groups == 1
    assert done.largest == 1.0
    assert json.loads(json.dumps(done.sizes)) == {"train": 30}
