"""Datasets in the records: versions that cost what they change, and sealed cases that stay shut."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ratchet.domain.cases import Case
from ratchet.domain.datasets import Dataset
from ratchet.errors import Conflict, InvalidRequest, NotFound
from ratchet.store.records import Records
from ratchet.store.records.case_pages import (
    CaseFilter,
    case_revisions,
    count_cases,
    find_cases,
    find_ids,
    version_changes,
)
from ratchet.store.records.datasets import (
    Changed,
    change_cases,
    create_dataset,
    dataset_named,
    describe_dataset,
    list_datasets,
    read_cases,
    versions_of,
)

NOW = 1_700_000_000 * 10**9


def case(identity: str, asked: str = "", **fields: Any) -> Case:
    return Case(id=identity, input=asked or f"What is {identity}?", **fields)


def made(records: Records, name: str = "support") -> Dataset:
    return create_dataset(records, project_id="default", name=name, now=NOW, by="ada@x")


def now_of(records: Records, name: str = "support") -> Dataset:
    return dataset_named(records, project_id="default", name=name)


def change(records: Records, **changes: Any) -> Changed:
    return change_cases(records, now_of(records), author="ada@x", now=NOW, **changes)


def ids(records: Records, version: int | None = None, *, sealed: bool = True) -> list[str]:
    return [one.id for one in read_cases(records, now_of(records), version=version, include_sealed=sealed)]


def found(records: Records, version: int | None = None, **wanted: Any) -> list[str]:
    return [
        one.id
        for one in find_cases(records, now_of(records), CaseFilter(**wanted), version=version, limit=50)[0]
    ]


def test_a_version_holds_what_it_held(records: Records) -> None:
    made(records)
    assert change(records, put=[case("a"), case("b"), case("c")], message="first").version == 1
    assert change(records, put=[case("b", "New?"), case("d"), case("a")]) == Changed(2, 1, 1, 0, 1)
    assert change(records, remove=["a"]).version == 3
    assert change(records, put=[case("a", "Again?")]).version == 4
    assert ids(records, 0) == []
    assert ids(records, 1) == ["a", "b", "c"]
    assert ids(records, 2) == ["a", "b", "c", "d"]
    assert ids(records, 3) == ["b", "c", "d"]
    assert ids(records) == ids(records, 4) == ["b", "c", "d", "a"]
    first = read_cases(records, now_of(records), version=1, include_sealed=True)
    assert [one.input for one in first] == ["What is a?", "What is b?", "What is c?"]
    told = [
        (one.number, one.added, one.changed, one.removed, one.cases)
        for one in versions_of(records, now_of(records))
    ]
    assert told == [(4, 1, 0, 0, 4), (3, 0, 0, 1, 3), (2, 1, 1, 0, 4), (1, 3, 0, 0, 3)]
    assert versions_of(records, now_of(records))[-1].message == "first"


def test_nothing_to_change_is_no_version(records: Records) -> None:
    made(records)
    change(records, put=[case("a")])
    assert change(records, put=[case("a")]) == Changed(1, unchanged=1)
    assert change(records) == Changed(1)
    assert len(versions_of(records, now_of(records))) == 1


def test_a_change_that_fails_leaves_nothing(records: Records) -> None:
    made(records)
    change(records, put=[case("a")])
    with pytest.raises(NotFound, match="no case 'x'"):
        change(records, put=[case("b")], remove=["x"])
    with pytest.raises(InvalidRequest, match="'b' is there twice"):
        change(records, put=[case("b"), case("b")])
    with pytest.raises(Conflict, match="at version 1, not 0"):
        change(records, put=[case("b")], seen=0)
    assert ids(records) == ["a"]
    assert now_of(records).version == 1


changes = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 2), max_size=4),
        st.sets(st.sampled_from("abcdef"), max_size=3),
    ),
    max_size=6,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=changes)
def test_versions_are_copies_that_cost_nothing(records: Records, steps: Any) -> None:
    named = f"d{len(list_datasets(records, project_id='default'))}"
    made(records, named)
    kept: list[dict[str, Case]] = [{}]
    for puts, removed in steps:
        newest = kept[-1]
        put = [case(key, f"{key}{value}") for key, value in puts.items()]
        gone = [key for key in removed if key in newest and key not in puts]
        done = change_cases(records, now_of(records, named), put=put, remove=gone, author="a", now=NOW)
        after = {key: one for key, one in newest.items() if key not in gone} | {one.id: one for one in put}
        if after != newest:
            kept.append(after)
        assert done.version == len(kept) - 1
    dataset = now_of(records, named)
    for number, expected in enumerate(kept):
        read = read_cases(records, dataset, version=number, include_sealed=True)
        assert {one.id: one for one in read} == expected
        assert len(read) == len(expected)


def test_sealed_cases_stay_shut(records: Records) -> None:
    made(records)
    change(records, put=[case("a", "Open sesame"), case("b", "Secret sesame", reference="X")])
    sealed = case("b", "Secret sesame", reference="X", split="test", tags=["t"])
    change(records, put=[sealed])
    change(records, put=[case("c", "Third", split="train")])
    assert ids(records, sealed=False) == ["a", "c"]
    assert ids(records, 1, sealed=False) == ["a"], "what it said before it was sealed is sealed too"
    assert found(records, 1, words="secret") == []
    shown, total = find_cases(records, now_of(records), CaseFilter(), limit=10)
    assert total == 3
    assert shown[1] == Case(id="b", input="", split="test", tags=["t"])
    assert found(records, words="sesame") == ["a"]
    assert found(records, words="b") == ["b"], "by its whole id it is found"
    assert [one.case.input for one in case_revisions(records, now_of(records), "b")] == ["", ""]
    before_it_was, _ = version_changes(records, now_of(records), 1, limit=10)
    assert [one.after.input for one in before_it_was if one.after] == ["Open sesame", ""]
    (sealing,), _ = version_changes(records, now_of(records), 2, limit=10)
    assert "Secret" not in msgspec.json.encode(sealing).decode()


def test_search_and_filters(records: Records) -> None:
    made(records)
    change(
        records,
        put=[
            case("1", "Wie ist die RÜCKGABE?", tags=["refund", 'odd "one"'], origin="trace"),
            case("2", [{"role": "user", "content": "50% off_peak"}], tags=["ref"], split="dev"),
            case(
                "3",
                {"question": "And now?"},
                reference={"answer": "Rückgabe"},
                accepted=False,
                origin="synthetic",
            ),
            case("4", "nul \x00 byte", feedback="bad"),
        ],
    )
    assert found(records, words="rückgabe") == ["1", "3"]
    assert found(records, words="rückgabe wie") == ["1"]
    assert found(records, words="50% off_") == ["2"]
    assert found(records, words="%") == ["2"]
    assert found(records, tag="ref") == ["2"]
    assert found(records, tag='odd "one"') == ["1"]
    assert found(records, split="dev") == ["2"]
    assert found(records, split="none") == ["1", "3", "4"]
    assert found(records, accepted=False) == ["3"]
    assert found(records, origin="trace") == ["1"]
    assert find_ids(records, now_of(records), CaseFilter(split="none")) == ["1", "3", "4"]
    counts = count_cases(records, now_of(records))
    assert (counts.total, counts.waiting) == (4, 1)
    assert counts.splits == {"": 3, "dev": 1}
    assert counts.tags == {"refund": 1, 'odd "one"': 1, "ref": 1}
    assert found(records, version=0) == []
    with pytest.raises(NotFound, match="no version 9"):
        found(records, version=9)


def test_what_a_version_changed(records: Records) -> None:
    made(records)
    change(records, put=[case("a"), case("b")])
    change(records, put=[case("b", "New"), case("c")], remove=["a"])
    told, total = version_changes(records, now_of(records), 2, limit=10)
    assert [(one.case_id, one.what) for one in told] == [("a", "removed"), ("b", "changed"), ("c", "added")]
    assert total == 3
    assert len(version_changes(records, now_of(records), 2, limit=1, offset=2)[0]) == 1
    revisions = case_revisions(records, now_of(records), "b")
    assert [(one.since, one.until, one.case.input) for one in revisions] == [
        (2, None, "New"),
        (1, 2, "What is b?"),
    ]
    with pytest.raises(NotFound, match="no case 'z'"):
        case_revisions(records, now_of(records), "z")


def test_datasets_are_listed_with_their_newest_version(records: Records) -> None:
    dataset = made(records)
    made(records, "empty")
    change(records, put=[case("a")], message="one")
    listed = list_datasets(records, project_id="default")
    assert [(one.name, version and version.cases) for one, version in listed] == [
        ("empty", None),
        ("support", 1),
    ]
    assert describe_dataset(records, dataset, "Of shoppers").description == "Of shoppers"
    assert now_of(records).description == "Of shoppers"
    assert list_datasets(records, project_id="other") == []


def test_names(records: Records) -> None:
    made(records)
    with pytest.raises(Conflict, match="'support' already"):
        made(records)
    for name in ("", "a b", "../x", "-x", "x" * 101):
        with pytest.raises(InvalidRequest, match="name can't be"):
            made(records, name)
    with pytest.raises(NotFound, match="no dataset 'none'"):
        now_of(records, "none")
