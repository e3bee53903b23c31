"""Somebody is forgotten: what caches keep of them goes from memory and disk, and everybody else's stays."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import eventually, running_app, running_gateway
from tests.test_cache_semantic import CHAT, SAID, SETTINGS, Shop, Upstream, running_shop
from tests.test_cli import ratchet

from ratchet.domain.forgetting import Forgotten, name_hash
from ratchet.domain.usage import Usage
from ratchet.errors import InvalidRequest
from ratchet.gateway.cache.entries import Entry
from ratchet.gateway.cache.forgetting import Forgetting, remaining
from ratchet.gateway.cache.journal import Also, Journal, Line, New, Verdict
from ratchet.store.records import Records
from ratchet.store.records.auditing import AuditFilter, audit_rows
from ratchet.store.records.forgetting import all_forgotten, forget
from ratchet.store.records.migrate import migrate

HIS = ("How do I cancel my xylophone subscription?", "how to cancel my xylophone subscription")


def forgets(records: Records, name: str) -> None:
    forget(records, project_id="default", name=name, now=time.time_ns())


async def lines_of(path: Path) -> list[Line]:
    """A copy is read: the file belongs to the gateway."""

    def read() -> list[Line]:
        copy = path.with_suffix(".copy")
        copy.write_bytes(path.read_bytes())
        journal = Journal(copy)
        try:
            return list(journal.read())
        finally:
            journal.close()

    return await asyncio.to_thread(read)


async def fill(shop: Shop) -> Path:
    """A shop that has learned, with a user `zed` who asked in words of his own, and in others' too."""
    await shop.learn()
    given, shop.semantic.chance = shop.semantic.chance, lambda: 0.0  # what could be given again is judged too
    for text in (*HIS, SAID[-3].format("print")):
        assert await shop.status(text, "zed") == "miss"
    shop.semantic.chance = given
    path = shop.gateway.folder / "answers.journal"
    await eventually(lambda: path.read_bytes().count(b"xylophone") > 2)
    return path


def asked_by(shop: Shop, name: str) -> list[str]:
    """What the memory holds of somebody."""
    meanings = shop.semantic.meanings
    assert meanings is not None
    kept = meanings.kept.values()
    return [one.text for one in kept if one.owner.endswith(f"\n{name}")] + [
        each.text for one in kept for each in meanings.questions(one) if each.who.endswith(f"\n{name}")
    ]


def is_clean(path: Path) -> bool:
    data = path.read_bytes()
    return bool(data) and b"xylophone" not in data and b"\nzed" not in data


async def cleaned(path: Path) -> None:
    try:
        await eventually(lambda: is_clean(path), within=60)
    except AssertionError as error:
        left = [line for line in await lines_of(path) if "zed" in repr(line) or "xylophone" in repr(line)]
        raise AssertionError(f"still there: {left[:5]}") from error


async def test_somebody_is_forgotten_while_the_gateway_serves(tmp_path: Path) -> None:
    async with running_shop(tmp_path, Upstream()) as shop:
        path = await fill(shop)
        assert await shop.status(HIS[0], "zed") == "hit"
        assert asked_by(shop, "zed")
        verdicts = [line for line in await lines_of(path) if isinstance(line, Verdict)]
        weights = shop.semantic._minds["default", "support"].belief._weights
        assert any("xylophone" in name for name in weights)
        others = asked_by(shop, "ada")

        forgets(shop.gateway.records, "zed")
        await cleaned(path)
        assert asked_by(shop, "zed") == []
        assert asked_by(shop, "ada") == others, "everybody else's stays"
        weights = shop.semantic._minds["default", "support"].belief._weights
        assert not any("xylophone" in name for name in weights)
        after = [line for line in await lines_of(path) if isinstance(line, Verdict)]
        assert [(each.risk, each.right) for each in after] == [(each.risk, each.right) for each in verdicts]
        assert await shop.status(SAID[-2].format("print"), "dan") == "semantic_hit"
        shop.semantic.chance = lambda: 0.0
        assert await shop.status(HIS[0], "eve") == "miss", "the very same request is not answered from memory"
        assert await shop.status(HIS[1], "zed") == "miss"
        assert await shop.status(HIS[1], "zed") == "hit", "what he asks from now on is kept again"
        await eventually(lambda: b"\nzed" in path.read_bytes())


async def test_a_gateway_that_was_down_forgets_when_it_starts(tmp_path: Path) -> None:
    upstream = Upstream()
    async with running_shop(tmp_path, upstream) as shop:
        path = await fill(shop)
    later = tmp_path / "later"
    later.mkdir()
    (later / "answers.journal").write_bytes(path.read_bytes())
    records = Records.open(f"sqlite:///{later}/records.db")
    migrate(records)
    forgets(records, "zed")
    records.close()
    async with running_shop(later, upstream) as shop:
        assert is_clean(later / "answers.journal"), "before anything is looked for"
        assert asked_by(shop, "zed") == []
        assert await shop.status(SAID[-2].format("print"), "dan") == "semantic_hit"


async def test_a_journal_that_no_route_uses_any_more_forgets_too(tmp_path: Path) -> None:
    upstream = Upstream()
    async with running_shop(tmp_path, upstream) as shop:
        path = await fill(shop)
    later = tmp_path / "later"
    later.mkdir()
    left = later / "answers.journal"
    left.write_bytes(path.read_bytes())
    settings = SETTINGS.replace("semantic = true\nmax_error = 0.1\n", "").replace('judge = "referee"\n', "")
    async with (
        running_app(upstream) as address,
        running_gateway(later, settings.format(address=address)) as gateway,
    ):
        assert gateway.answers.semantic is None
        before = await lines_of(left)
        forgets(gateway.records, "zed")
        await cleaned(left)
        assert 0 < len(await lines_of(left)) < len(before)


async def test_a_full_disk_delays_it_and_does_not_prevent_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_shop(tmp_path, Upstream()) as shop:
        path = await fill(shop)
        tries: list[int] = []
        replace = Journal.replace

        def full(self: Journal, lines: Any) -> None:
            tries.append(1)
            if len(tries) == 1:
                raise OSError(28, "No space left on device")
            replace(self, lines)

        monkeypatch.setattr(Journal, "replace", full)
        forgets(shop.gateway.records, "zed")
        await cleaned(path)
        assert len(tries) == 2


EXACT = """
[providers.up]
kind = "openai"
base_url = "{address}/v1"
[routes.support]
targets = ["up/answerer"]
[routes.support.cache]
"""


async def test_the_same_request_is_not_answered_by_what_was_made_for_them(tmp_path: Path) -> None:
    async with (
        running_app(Upstream()) as address,
        running_gateway(tmp_path, EXACT.format(address=address)) as gateway,
        httpx2.AsyncClient(
            base_url=gateway.url, headers={"authorization": f"Bearer {gateway.key}"}
        ) as client,
    ):

        async def status(text: str, **who: Any) -> str:
            body = {"model": "support", "messages": [{"role": "user", "content": text}], **who}
            return (await client.post(CHAT, json=body)).headers["x-ratchet-cache"]

        asked = [
            ("one", {"user": "zed"}),
            ("two", {"metadata": {"session_id": "zed"}}),
            ("three", {"user": "ada", "metadata": {"session_id": "zed"}}),
            ("four", {}),
        ]
        assert [await status(text, **who) for text, who in asked] == ["miss"] * 4
        assert [await status(text) for text, _ in asked] == ["hit"] * 4
        forgets(gateway.records, "zed")
        await eventually(lambda: gateway.answers._forgetting)
        assert [await status(text, **who) for text, who in asked] == ["miss", "miss", "hit", "hit"]
        assert [await status(text, **who) for text, who in asked] == ["hit"] * 4, "what came since is kept"


def test_the_records_say_who_by_a_hash_alone(tmp_path: Path) -> None:
    records = Records.open(f"sqlite:///{tmp_path}/records.db")
    migrate(records)
    forget(records, project_id="default", name=" zed ", now=5)
    forget(records, project_id="default", name="zed", now=7)
    forget(records, project_id="default", name="ada", now=6)
    found = {each.name_hash: each.time for each in all_forgotten(records)}
    assert found == {name_hash("default", "zed"): 7, name_hash("default", "ada"): 6}
    with records.read() as connection:
        rows = audit_rows(connection, AuditFilter(action="user"), project_id="default", limit=9)
    assert [(row.action, row.subject) for row in rows] == [
        ("user.forgotten", name_hash("default", name)) for name in ("ada", "zed", "zed")
    ]
    for nobody in ("", " ", "x" * 301):
        with pytest.raises(InvalidRequest):
            forget(records, project_id="default", name=nobody, now=1)
    records.close()
    assert b"zed" not in (tmp_path / "records.db").read_bytes()


WHO = st.sampled_from(["", "k\nada", "k\nzed", "other\nzed", "k\nzed\nx", "zed"])
MADE = st.integers(0, 9)
NUMBERS = st.integers(1, 4)


def entry(made: int) -> Entry:
    return Entry(b"", False, False, b"", "", "", [], Usage(), None, 0, made, 99)


LINES = st.lists(
    st.one_of(
        st.builds(
            lambda number, who, made: New(
                number, "p", "r", "place", f"{who} asks", entry(made), "a", who, False, True
            ),
            NUMBERS,
            WHO,
            MADE,
        ),
        st.builds(lambda number, who, made: Also(number, f"{who} too", True, who, made), NUMBERS, WHO, MADE),
        st.builds(
            lambda who, near, made: Verdict(
                "p", "r", [("bias", 1.0), ("swap:a|b", 1.0), ("only:c", 1.0)], 0.1, True, True,
                [(who, made), (near, 0)],
            ),
            WHO,
            WHO,
            MADE,
        ),
    )
)  # fmt: skip


@given(LINES)
def test_what_remains_of_a_journal(lines: list[Line]) -> None:
    """Nothing of those forgotten, and everything else in its order; an `Also` stays with its answer alone."""
    forgetting = Forgetting(
        [Forgotten("p", name_hash("p", "zed"), 5), Forgotten("q", name_hash("q", "ada"), 9)]
    )

    def gone(who: str, made: int) -> bool:
        return who in ("k\nzed", "other\nzed") and made <= 5

    expected: list[Line] = []
    there: set[int] = set()
    for line in lines:
        if isinstance(line, New):
            there.discard(line.number)
            if gone(line.owner, line.entry.made):
                continue
            there.add(line.number)
        elif isinstance(line, Also):
            if line.number not in there or gone(line.who, line.made):
                continue
        elif any(gone(who, made) for who, made in line.whose):
            expected.append(Verdict("p", "r", [("bias", 1.0)], 0.1, True, True, []))
            continue
        expected.append(line)
    assert list(remaining(lines, forgetting)) == expected
    assert list(remaining(expected, forgetting)) == expected, "once is enough"


def test_the_command_has_caches_forget(tmp_path: Path) -> None:
    """`ratchet cache forget` writes what gateways follow."""
    assert "forget what their caches keep of 'zed'" in ratchet(tmp_path, "cache", "forget", "zed")
    records = Records.open(f"sqlite:///{tmp_path}/.ratchet/records.db")
    (found,) = all_forgotten(records)
    records.close()
    assert found.name_hash == name_hash("default", "zed")
    assert "Give 1 to 300 characters" in ratchet(tmp_path, "cache", "forget", " ", code=1)
