"""What docs/simulator.md says is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from ratchet.simulator.faults import FAULT_NAMES, parse_fault
from ratchet.simulator.handbook import Handbook
from ratchet.simulator.models import CLASSES, FAMILIES

DOC = (Path(__file__).parent.parent / "docs" / "simulator.md").read_text("utf-8")
BOT = DOC[DOC.index("## The bot") : DOC.index("## The judge")]


def test_the_table_of_rates_is_the_one_in_the_code() -> None:
    rows = dict(re.findall(r"^\| `(\w+)`:[^|]*\|(.*)\|$", BOT, re.MULTILINE))
    fields = [
        name for name in msgspec.structs.asdict(CLASSES["small"]) if name not in {"name", "reasons", "family"}
    ]
    assert list(rows) == fields
    for name in fields:
        said = [float(cell) for cell in rows[name].split("|")]
        assert said == [getattr(CLASSES[kind], name) for kind in ("small", "medium", "large", "reasoning")], (
            name
        )


def test_every_fault_is_in_the_table_and_every_example_parses() -> None:
    section = DOC[DOC.index("## Faults") : DOC.index("### Scripts")]
    examples = re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)
    assert {example.partition("=")[0] for example in examples} == set(FAULT_NAMES)
    for example in examples:
        parse_fault(example)


def test_the_number_of_sections_is_right() -> None:
    assert f"{len(Handbook.shipped().sections)} sections" in DOC


def test_the_table_of_families_is_the_one_in_the_code() -> None:
    rows = re.findall(
        r"^\| (\w+) \| [^|]+ \| ([\d.]+), ([\d.]+)([^|]*)\| (\d) \| ([\d.]+) \|(.*)\|$", BOT, re.MULTILINE
    )
    assert [row[0] for row in rows] == list(FAMILIES)
    for name, opens, closes, _, sentences, delay, factors in rows:
        family = FAMILIES[name]
        assert (float(opens), float(closes), int(sentences), float(delay)) == (
            family.opens, family.closes, family.sentences, family.delay
        )  # fmt: skip
        assert {rate: float(by) for rate, by in re.findall(r"`(\w+)` ([\d.]+)", factors)} == family.factors
