"""References that a model writes: marked, counted, paid up to a limit, and nobody else's work is touched."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import insert, select
from tests.conftest import spooled
from tests.test_cli import as_json, ratchet

from ratchet.datasets.growing import Reference, add_references, put_cases
from ratchet.datasets.references import lacking, write_references
from ratchet.datasets.writing import Progress, Writing
from ratchet.domain.cases import Case
from ratchet.domain.generation import Answer, Request
from ratchet.domain.messages import Message, TextPart
from ratchet.domain.usage import Usage
from ratchet.errors import NotFound, UpstreamFailed
from ratchet.store.records import DEFAULT_PROJECT, Records, schema
from ratchet.store.records.case_pages import CaseFilter, count_cases, find_ids
from ratchet.store.records.datasets import create_dataset, dataset_named, read_cases
from ratchet.store.records.migrate import migrate
from ratchet.telemetry.calls import Call

CASES = [
    Case(id="a", input="How long can I return goods?"),
    Case(id="b", input="Where is my parcel?", reference="See the tracking page."),
    Case(id="c", input="What does a kayak weigh?", split="test"),
    Case(id="d", input="Do you repair tents?", origin="synthetic", accepted=False),
    Case(id="e", input="When are you open?", context="We open at 9 </context> and close at 18."),
]


class Writer:
    """Answers from a table, by a word of what was asked."""

    def __init__(self, said: dict[str, Any], cost: str | None = "0.01") -> None:
        self.said, self.cost = said, cost
        self.asked: list[Request] = []

    async def __call__(self, request: Request) -> Answer:
        self.asked.append(request)
        await asyncio.sleep(0)
        asked = self.text(request, -1)
        found = next((said for word, said in self.said.items() if word in asked), "Yes.")
        if isinstance(found, Exception):
            raise found
        return Answer(
            dialect="openai_chat",
            id="x",
            model="writer-1",
            choices=[Message("assistant", [TextPart(found)])],
            usage=Usage(),
            cost=None if self.cost is None else Decimal(self.cost),
        )

    @staticmethod
    def text(request: Request, place: int) -> str:
        return "".join(part.content for part in request.messages[place].parts if isinstance(part, TextPart))


def write(cases: list[Case], writer: Any, **how: Any) -> Progress:
    return asyncio.run(write_references(cases, writer, model="m", how=Writing(**how)))


def questions(count: int) -> list[Case]:
    return [Case(id=str(number), input=f"Question {number}?") for number in range(count)]


def test_only_accepted_cases_without_a_reference_that_are_not_sealed() -> None:
    found = lacking(CASES)
    assert [case.id for case in found.cases] == ["a", "e"]
    assert (found.sealed, found.waiting) == (1, 1)


def test_a_reference_says_who_wrote_it() -> None:
    writer = Writer({"return": "30 days."})
    done = write(lacking(CASES).cases, writer)
    assert {case.id: (case.reference, case.reference_by) for case in done.cases} == {
        "a": ("30 days.", "writer-1"),
        "e": ("Yes.", "writer-1"),
    }
    assert (done.calls, done.cost, done.failed, done.reason) == (2, Decimal("0.02"), 0, "")
    assert all(request.temperature is None for request in writer.asked)


def test_a_context_can_not_close_its_quotation() -> None:
    writer = Writer({})
    write([CASES[4]], writer)
    system = writer.text(writer.asked[0], 0)
    tag = system.partition("</context-")[2].partition(">")[0]
    assert system.endswith(f"</context-{tag}>")
    assert system.count(f"\n</context-{tag}>") == 1


def test_what_the_model_does_not_know_stays_without() -> None:
    done = write(questions(3), Writer({"1": "UNKNOWN.", "2": UpstreamFailed("down", "")}))
    assert [case.id for case in done.cases] == ["0"]
    assert done.dropped == {"that the model can't answer": 1}
    assert (done.failed, done.problem, done.calls, done.cost) == (1, "down", 3, Decimal("0.02"))


@pytest.mark.parametrize("concurrency", [1, 4, 64])
def test_no_more_is_spent_than_the_limit(concurrency: int) -> None:
    done = write(questions(40), Writer({}), concurrency=concurrency, max_cost=Decimal("0.125"))
    assert (len(done.cases), done.cost) == (12, Decimal("0.12"))
    assert "limit of $0.125" in done.reason
    assert write(questions(3), Writer({}), max_cost=Decimal("0.03")).reason == ""


def test_a_limit_needs_prices() -> None:
    done = write(questions(9), Writer({}, cost=None), max_cost=Decimal(1), concurrency=3)
    assert (len(done.cases), done.cost) == (1, None)
    assert "no known price" in done.reason
    assert len(write(questions(9), Writer({}, cost=None)).cases) == 9


def test_who_stops_it_keeps_what_is_under_way_too() -> None:
    seen: list[Progress] = []
    done = write(
        questions(20), Writer({}), concurrency=4, stopped=lambda: len(seen) >= 5, on_progress=seen.append
    )
    assert 5 <= len(done.cases) == done.calls <= 9
    assert [len(each.cases) for each in seen] == list(range(1, done.calls + 1))


def test_a_model_that_does_not_exist_ends_it() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        write(questions(9), Writer({"Question": NotFound("no model 'm'", "")}))
    assert "no model" in str(caught.value.exceptions[0])


# -- into the dataset ----------------------------------------------------------------------------------------------


@pytest.fixture
def records(tmp_path: Path) -> Any:
    opened = Records.open(f"sqlite:///{tmp_path / 'records.db'}")
    migrate(opened)
    yield opened
    opened.close()


def filled(records: Records) -> Any:
    made = create_dataset(records, project_id=DEFAULT_PROJECT, name="d", now=1, by="ada")
    put_cases(records, made, CASES, keep_duplicates=True, author="ada", message="", now=2)
    return dataset_named(records, project_id=DEFAULT_PROJECT, name="d")


def test_references_become_one_version_and_touch_nobody_elses_work(records: Records) -> None:
    dataset = filled(records)
    changed = msgspec.structs.replace(CASES[4], reference="At nine.")
    put_cases(records, dataset, [changed], keep_duplicates=True, author="bo", message="", now=3)
    given = [Reference(name, f"for {name}", "m") for name in ("a", "b", "c", "e", "gone")]
    done, skipped = add_references(records, dataset, given, seen=1, author="ada", message="by m", now=4)
    assert (done.version, done.changed) == (3, 1)
    assert skipped == ["b", "c", "e", "gone"]
    now = {
        case.id: (case.reference, case.reference_by)
        for case in read_cases(
            records,
            dataset_named(records, project_id=DEFAULT_PROJECT, name="d"),
            include_sealed=True,
            include_unaccepted=True,
        )
    }
    assert now == {
        "a": ("for a", "m"),
        "b": ("See the tracking page.", ""),
        "c": (None, ""),
        "d": (None, ""),
        "e": ("At nine.", ""),
    }


def test_cases_are_found_by_whose_reference_they_have(records: Records) -> None:
    dataset = filled(records)
    add_references(
        records, dataset, [Reference("a", "30 days", "m")], seen=1, author="ada", message="", now=4
    )
    dataset = dataset_named(records, project_id=DEFAULT_PROJECT, name="d")
    assert find_ids(records, dataset, CaseFilter(reference="model")) == ["a"]
    assert find_ids(records, dataset, CaseFilter(reference="person")) == ["b"]
    assert find_ids(records, dataset, CaseFilter(reference="none")) == ["c", "d", "e"]
    assert count_cases(records, dataset).references == {"model": 1, "person": 1, "none": 3}
    assert find_ids(records, dataset, CaseFilter(reference="none"), version=1) == ["a", "c", "d", "e"]


def test_datasets_from_before_the_mark_was_counted(tmp_path: Path) -> None:
    records = Records.open(f"sqlite:///{tmp_path / 'records.db'}")
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).with_name("migrations")))
    with records.write() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0008")
    cases = [*CASES, Case(id="f", input="Hm?", reference="Ah", reference_by="m")]
    old = [column for column in schema.dataset_cases.c if column.name != "referenced"]
    with records.write() as connection:
        connection.execute(
            insert(schema.datasets).values(
                id="d", project_id=DEFAULT_PROJECT, name="d", description="", shares="", version=1,
                created=1, created_by="ada",
            )
        )  # fmt: skip
        for place, case in enumerate(cases):
            values = {
                "dataset_id": "d", "case_id": case.id, "since": 1, "until": 2**31 - 1, "position": place,
                "content": msgspec.json.encode(case).decode(), "hash": "", "split": case.split,
                "origin": case.origin, "accepted": case.accepted, "tags": "", "words": "", "sketch": b"",
            }  # fmt: skip
            assert set(values) == {column.name for column in old}
            connection.execute(insert(schema.dataset_cases).values(**values))
    migrate(records)
    with records.read() as connection:
        found = connection.execute(
            select(schema.dataset_cases.c.case_id, schema.dataset_cases.c.referenced)
        ).all()
    assert dict(map(tuple, found)) == {
        "a": "none", "b": "person", "c": "none", "d": "none", "e": "none", "f": "model",
    }  # fmt: skip
    records.close()


# -- the command ---------------------------------------------------------------------------------------------------


def lines(cases: list[Case]) -> str:
    return "".join(msgspec.json.encode(case).decode() + "\n" for case in cases)


SHOP = [
    Case(id="a", input="How long can I return goods?"),
    Case(id="b", input="Where is my parcel?", reference="See the tracking page."),
    Case(id="e", input="When are you open?", context="We open at 9 and close at 18."),
]


def test_the_command_fills_a_dataset(tmp_path: Path) -> None:
    (tmp_path / "shop.jsonl").write_text(lines(SHOP))
    as_json(tmp_path, "dataset", "create", "shop")
    as_json(tmp_path, "dataset", "import", "shop", "shop.jsonl")
    done = as_json(tmp_path, "dataset", "reference", "shop", "--model", "simulator/gpt-4o")
    assert (done["written"], done["version"], done["skipped"], done["failed"]) == (2, 2, [], 0)
    assert float(done["cost"]) > 0
    shown = as_json(tmp_path, "dataset", "show", "shop", "--reference", "model")
    assert {one["id"] for one in shown["rows"]} == {"a", "e"}
    assert all(one["reference_by"].startswith("gpt-4o") for one in shown["rows"])
    assert shown["counts"]["references"] == {"model": 2, "person": 1}
    assert "(by a model)" in ratchet(tmp_path, "dataset", "show", "shop")
    again = ratchet(tmp_path, "dataset", "reference", "shop", "--model", "simulator/gpt-4o")
    assert "No case of shop wants for a reference." in again
    assert "no model 'nope/x'" in ratchet(
        tmp_path, "dataset", "reference", str(refilled(tmp_path)), "--model", "nope/x", code=1
    )


def refilled(folder: Path) -> Path:
    path = folder / "shop.jsonl"
    path.write_text(lines(SHOP))
    return path


def test_the_command_fills_a_file(tmp_path: Path) -> None:
    path = refilled(tmp_path)
    path.chmod(0o644)
    sealed = msgspec.structs.replace(SHOP[0], id="z", split="test")
    path.write_text(lines([*SHOP, sealed]))
    done = as_json(tmp_path, "dataset", "reference", path.name, "--model", "simulator/gpt-4o")
    assert (done["written"], done["left_out"]) == (2, {"sealed": 1, "waiting": 0})
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert [bool(one.get("reference_by")) for one in found] == [True, False, True, False]
    assert path.stat().st_mode & 0o777 == 0o644
    rich = tmp_path / "promptfoo.yaml"
    rich.write_text("tests:\n  - vars: {input: When are you open?}\n")
    assert "--output" in ratchet(
        tmp_path, "dataset", "reference", rich.name, "--model", "simulator/gpt-4o", code=1
    )
    done = as_json(
        tmp_path, "dataset", "reference", rich.name, "--model", "simulator/gpt-4o", "--output", "out.jsonl"
    )
    assert "reference_by" in (tmp_path / done["file"]).read_text()
    assert rich.read_text().startswith("tests:")


def test_a_cost_limit_stops_the_command(tmp_path: Path) -> None:
    (tmp_path / "many.jsonl").write_text(lines(questions(30)))
    told = as_json(
        tmp_path, "dataset", "reference", "many.jsonl", "--model", "simulator/gpt-4o", "--max-cost", "0.001"
    )
    assert 0 < told["written"] + sum(told["dropped"].values()) < 30
    assert float(told["cost"]) <= 0.001
    assert "limit" in told["reason"]


def test_ctrl_c_keeps_what_there_is(tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    path.write_text(lines(questions(5000)))
    process = subprocess.Popen(
        [sys.executable, "-m", "ratchet", "dataset", "reference", path.name, "--model", "simulator/gpt-4o",
         "--concurrency", "2", "--json"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    spool = tmp_path / ".ratchet" / "spool"
    end = time.monotonic() + 60
    while not any(one.stat().st_size > 3000 for one in spool.glob("**/*") if one.is_file()):
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    told = json.loads(out)
    assert 0 < told["calls"] < 5000
    found = [json.loads(line) for line in path.read_text().splitlines()]
    assert sum(bool(one.get("reference_by")) for one in found) == told["written"]
    assert len(found) == 5000


def test_a_killed_one_has_paid_for_nothing_in_vain(tmp_path: Path) -> None:
    path = tmp_path / "some.jsonl"
    path.write_text(lines(questions(60)))
    command = [sys.executable, "-m", "ratchet", "dataset", "reference", path.name, "--model", "simulator/gpt-4o",
               "--concurrency", "4", "--json"]  # fmt: skip
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kept() -> int:
        ledger = tmp_path / ".ratchet" / "runs" / "ledger.db"
        if not ledger.exists():
            return 0
        with contextlib.closing(sqlite3.connect(ledger, timeout=10)) as database:
            tables = database.execute("SELECT name FROM sqlite_master WHERE name = 'answers'").fetchall()
            return database.execute("SELECT count(*) FROM answers").fetchone()[0] if tables else 0

    end = time.monotonic() + 60
    while kept() < 10:
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    paid = kept()
    told = json.loads(subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout)
    assert told["written"] + sum(told["dropped"].values()) == 60
    assert kept() == 60
    assert (tmp_path / ".ratchet" / "runs").stat().st_mode & 0o077 == 0, "answers are their owner's alone"
    calls = sum(isinstance(each, Call) for each in spooled(tmp_path / ".ratchet" / "spool"))
    assert paid >= 10
    assert 60 <= calls <= 60 + 4, "what was under way at the kill is asked again, and nothing else"
