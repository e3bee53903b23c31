"""`ratchet dataset`, as people and scripts use it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.test_cli import as_json, ratchet

LINES = [
    {"id": "a", "input": "How long can I return goods?", "reference": "30 days", "tags": ["returns"]},
    {"input": "Where is my parcel?", "expected": "See the tracking page.", "difficulty": 3},
    {"input": "where is my parcel", "expected": "See the tracking page."},
    {"input": [{"role": "user", "content": "Do you repair tents?"}], "source": "ada"},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a dataset of three cases and a file of four."""
    (tmp_path / "cases.jsonl").write_text("\n".join(map(json.dumps, LINES)))
    as_json(tmp_path, "dataset", "create", "d")
    return tmp_path


def test_there_and_back(folder: Path) -> None:
    done = as_json(folder, "dataset", "import", "d", "cases.jsonl", "-m", "First")
    assert (done["added"], len(done["duplicates"]), done["version"]) == (3, 1, 1)
    for ending in ("jsonl", "csv", "parquet", "yaml"):
        told = ratchet(folder, "dataset", "export", "d", f"out.{ending}")
        assert f"3 cases of version 1 are in out.{ending}" in told
    for ending in ("jsonl", "csv", "parquet"):
        again = as_json(folder, "dataset", "import", "d", f"out.{ending}")
        assert (again["unchanged"], again["added"], again["changed"]) == (3, 0, 0)
    assert as_json(folder, "dataset", "versions", "d")[0]["message"] == "First"
    assert [one["name"] for one in as_json(folder, "dataset", "list")] == ["d"]
    assert not list(folder.glob("*.new")), "nothing half-written stays"


def test_what_people_read(folder: Path) -> None:
    assert "There are no datasets" not in ratchet(folder, "dataset", "list")
    assert "No cases yet: ratchet dataset import d FILE" in ratchet(folder, "dataset", "show", "d")
    told = ratchet(folder, "dataset", "import", "d", "cases.jsonl")
    assert "Version 1 of d: 3 added." in told
    assert "not taken:" in told
    shown = ratchet(folder, "dataset", "show", "d", "-q", "parcel")
    assert "See the tracking page." in shown
    assert "1 of 1" in shown
    assert "No case matches." in ratchet(folder, "dataset", "show", "d", "--tag", "none")
    assert "Version 2 of d: 1 added." in ratchet(
        folder, "dataset", "add", "d", "--input", "Can I pay by invoice?", "--tag", "pay"
    )
    assert "not in version 3" in ratchet(folder, "dataset", "remove", "d", "a")
    assert "+0 ~0 -1" in ratchet(folder, "dataset", "versions", "d")


def test_splitting_seals(folder: Path) -> None:
    as_json(folder, "dataset", "import", "d", "cases.jsonl")
    told = ratchet(folder, "dataset", "split", "d", "--train", "0.34", "--dev", "0.33", "--test", "0.33")
    assert "3 groups" in told
    exported = as_json(folder, "dataset", "export", "d", "open.jsonl")
    assert (exported["cases"], exported["sealed_left_out"]) == (2, 1)
    assert "1 sealed cases are not among them" in ratchet(folder, "dataset", "export", "d", "open.jsonl")
    assert as_json(folder, "dataset", "export", "d", "all.jsonl", "--sealed")["cases"] == 3
    assert "(sealed)" in ratchet(folder, "dataset", "show", "d", "--split", "test")
    assert "not a whole" in ratchet(folder, "dataset", "split", "d", "--train", "1", code=1)


def test_mistakes_are_told_with_what_to_do(folder: Path) -> None:
    (folder / "bad.jsonl").write_text('{"input": "x"}\n{"reference": "y"}')
    told = ratchet(folder, "dataset", "import", "d", "bad.jsonl", code=1)
    assert "bad.jsonl, line 2, input: There is no input" in told
    assert as_json(folder, "dataset", "show", "d")["total"] == 0
    assert "ratchet dataset create other" in ratchet(
        folder, "dataset", "import", "other", "cases.jsonl", code=1
    )
    assert "Give one of --input" in ratchet(folder, "dataset", "add", "d", code=1)
    assert "Name them by id" in ratchet(folder, "dataset", "accept", "d", code=1)
    assert "does not end like a file of cases" in ratchet(folder, "dataset", "export", "d", "x.doc", code=1)
    assert "No case was waiting" in ratchet(folder, "dataset", "accept", "d", "--all")


def test_breaking_off_keeps_what_there_is(folder: Path) -> None:
    """A model that takes its time, and somebody who doesn't."""
    sentences = [
        f"The {word} room opens at {hour} o'clock every day."
        for hour, word in enumerate(["red", "green", "blue", "white"] * 5, 1)
    ]
    (folder / "rooms.md").write_text("\n\n".join(f"# Room {n}\n{text}" for n, text in enumerate(sentences)))
    command = ["dataset", "synthesise", "d", "rooms.md", "--model", "simulator/gpt-4o", "--count", "2000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "ratchet", *command, "--concurrency", "1", "--json"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 60
    while not sum(file.stat().st_size for file in folder.glob(".ratchet/spool/*")) > 20_000:
        assert time.monotonic() < end, "no call was recorded"
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130, out + errors
    done = json.loads(out)
    assert done["calls"] > 0
    assert done["added"] > 0
    assert as_json(folder, "dataset", "show", "d")["counts"]["waiting"] == done["added"]
