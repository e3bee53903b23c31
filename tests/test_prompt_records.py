"""Prompts, versions, comments and releases in the records, on SQLite and PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ratchet.domain.prompts import Release, Share, Template, TemplateMessage
from ratchet.errors import Conflict, InvalidRequest, NotFound
from ratchet.prompts.hashing import content_hash
from ratchet.store.records import Records, prompts, releases

NOW = 1_700_000_000 * 10**9


def new(name: str, text: str, **fields: Any) -> prompts.NewVersion:
    template = Template(messages=[TemplateMessage(role="user", content=text)])
    return prompts.NewVersion(prompt=name, template=template, hash=content_hash(template), **fields)


def push(
    records: Records, *versions: prompts.NewVersion, message: str = "", project: str = "default"
) -> list[prompts.Pushed]:
    return prompts.push_versions(
        records, versions, project_id=project, author="a@example.com", message=message, now=NOW
    )


def release(records: Records, *split: Share, label: str = "production", **more: Any) -> Release:
    return releases.release_split(
        records, "support", label, split, project_id="default", by="a@example.com", now=NOW, **more
    )


def back(records: Records, **more: Any) -> Release:
    return releases.roll_back(
        records, "support", "production", project_id="default", by="b@example.com", now=NOW, **more
    )


def test_pushing_adds_versions_and_the_same_content_again_none(records: Records) -> None:
    before = records.revision("gateway")
    first = push(records, new("support", "one"), message="first")[0]
    assert (first.created, first.version.number, first.version.parent, first.version.message) == (
        True,
        1,
        None,
        "first",
    )
    again = push(records, new("support", "one"), message="again")[0]
    assert (again.created, again.version) == (False, first.version)
    second = push(records, new("support", "two"))[0].version
    assert (second.number, second.parent) == (2, 1)
    # What was newest once is a version again when it comes back: the history tells so.
    third = push(records, new("support", "one"))[0].version
    assert (third.number, third.hash) == (3, first.version.hash)
    fourth = push(records, new("support", "four", parent=2))[0].version
    assert fourth.parent == 2
    assert [each.number for each in prompts.versions_of(records, "support", project_id="default")] == [
        4,
        3,
        2,
        1,
    ]
    assert prompts.newest_version(records, "support", project_id="default") == fourth
    assert prompts.newest_versions(records, project_id="default") == {"support": fourth}
    assert prompts.version_of(records, "support", 1, project_id="default") == first.version
    assert records.revision("gateway") > before


def test_all_of_a_push_or_nothing(records: Records) -> None:
    push(records, new("b", "one"))
    with pytest.raises(NotFound, match="'b' has no version 7"):
        push(records, new("a", "one"), new("b", "two", parent=7))
    assert [each.name for each in prompts.list_prompts(records, project_id="default")] == ["b"]
    assert prompts.newest_version(records, "b", project_id="default").number == 1


def test_pushes_at_the_same_moment_give_each_a_number_of_its_own(records: Records) -> None:
    push(records, new("support", "start"))

    def pushed(number: int) -> int:
        try:
            return push(records, new("support", f"text {number}"))[0].version.number
        except Conflict:
            return 0

    with ThreadPoolExecutor(4) as pool:
        numbers = [number for number in pool.map(pushed, range(12)) if number]
    assert len(numbers) == len(set(numbers))
    there = [each.number for each in prompts.versions_of(records, "support", project_id="default")]
    assert there == list(range(len(numbers) + 1, 0, -1))


def test_what_is_not_there_is_named(records: Records) -> None:
    with pytest.raises(NotFound, match="no prompt 'support'"):
        prompts.versions_of(records, "support", project_id="default")
    push(records, new("support", "one"))
    with pytest.raises(NotFound, match="no version 2") as caught:
        prompts.version_of(records, "support", 2, project_id="default")
    assert "version 1 only" in caught.value.remedy


def test_comments_stand_with_a_version(records: Records) -> None:
    push(records, new("support", "one"))
    made = prompts.add_comment(
        records, "support", 1, " Too long.\r\n", project_id="default", author="b", now=NOW
    )
    assert (made.text, made.version) == ("Too long.", 1)
    assert prompts.comments_of(records, "support", project_id="default") == [made]
    with pytest.raises(NotFound):
        prompts.add_comment(records, "support", 2, "x", project_id="default", author="b", now=NOW)
    with pytest.raises(InvalidRequest):
        prompts.add_comment(records, "support", 1, " ", project_id="default", author="b", now=NOW)


def test_a_label_moves_splits_and_goes_and_its_history_stays(records: Records) -> None:
    push(records, new("support", "one"))
    push(records, new("support", "two"))
    before = records.revision("gateway")
    first = release(records, Share(version=1), message="go", gate_run_id="run-1")
    assert (first.number, first.name, first.gate_run_id) == (1, "production.1", "run-1")
    assert records.revision("gateway") == before + 1
    assert release(records, Share(version=1)) == first
    split = release(records, Share(version=2, weight=5), Share(version=1, weight=95))
    assert split.split == [Share(version=1, weight=95), Share(version=2, weight=5)]
    release(records, Share(version=2), label="staging")
    current = releases.current_releases(records, project_id="default")["support"]
    assert [(each.label, each.number) for each in current] == [("production", 2), ("staging", 1)]
    release(records, label="staging")
    assert [each.label for each in releases.current_releases(records, project_id="default")["support"]] == [
        "production"
    ]
    assert len(releases.release_history(records, "support", project_id="default")) == 4
    history = releases.release_history(records, "support", project_id="default", label="production")
    assert history == [split, first]


def test_rolling_back_goes_one_step_and_another_one_further(records: Records) -> None:
    for text in ("one", "two", "three"):
        push(records, new("support", text))
    for number in (1, 2, 3):
        release(records, Share(version=number))
    assert (back(records).split, back(records).split) == ([Share(version=2)], [Share(version=1)])
    with pytest.raises(Conflict, match="served nothing before"):
        back(records)
    forward = release(records, Share(version=3))
    assert forward.number == 6
    assert back(records).split == [Share(version=1)], "what the roll-backs left in force stood before it"


def test_a_release_that_cannot_be_is_refused(records: Records) -> None:
    push(records, new("support", "one"))
    with pytest.raises(NotFound, match="no version 2"):
        release(records, Share(version=2))
    with pytest.raises(InvalidRequest, match="names a version twice"):
        release(records, Share(version=1), Share(version=1))
    with pytest.raises(InvalidRequest, match="can't have the weight 0"):
        release(records, Share(version=1, weight=0))
    with pytest.raises(NotFound, match="has no label 'production'"):
        release(records)
    with pytest.raises(NotFound, match="has no label 'production'"):
        back(records)
    release(records, Share(version=1))
    with pytest.raises(Conflict, match=r"a@example.com has moved support@production meanwhile"):
        release(records, seen=0)
    with pytest.raises(Conflict, match="meanwhile"):
        back(records, seen=7)


def test_gateways_read_new_versions_only(records: Records) -> None:
    push(records, new("support", "one"), new("other", "x"))
    release(records, Share(version=1))
    known, served = releases.served_prompts(records, {})
    assert [
        (each.name, [v.number for v in each.versions], [r.name for r in each.releases]) for each in served
    ] == [
        ("other", [1], []),
        ("support", [1], ["production.1"]),
    ]
    push(records, new("support", "two"))
    later, served = releases.served_prompts(records, known)
    assert len(later) == 3
    assert [each.number for each in served[1].versions] == [1, 2]
    assert all(later[each] is known[each] for each in known)
