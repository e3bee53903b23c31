"""How long every scorer that asks no model takes over 10,000 cases, in one process, libraries loaded included.

`python -m bench.scorers CASES` is that process; it prints the seconds of each scorer as JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench.figures import Figure, Part, at_most
from bench.processes import BenchError
from bench.setting import Setting
from ratchet.domain.cases import Case, Output
from ratchet.domain.messages import ToolCallPart
from ratchet.embeddings import LocalEmbedder
from ratchet.scorers.registry import list_scorers, make_scorer
from ratchet.scorers.scorer import Scorer, Tools
from ratchet.simulator.handbook import sentences

__all__ = ["measure"]

_CASES = 10_000
_SETTINGS: dict[str, dict[str, Any]] = {
    "regex": {"pattern": r"\d+ (working )?days"},
    "json_schema": {
        "schema": {"type": "object", "required": ["price"], "properties": {"price": {"type": "number"}}}
    },
    "classification": {"labels": ["delivery", "returns", "billing", "other"]},
}
_STRUCTURED = ("numeric", "json_valid", "json_schema", "json_distance", "tool_calls", "classification")

_HANDBOOK = Path(__file__).parent.parent / "src/ratchet/simulator/handbook.md"

Pair = tuple[Case, Output]


def measure(setting: Setting) -> Part:
    cases = 1_000 if setting.quick else _CASES
    cores = f"{setting.gateway_core},{setting.load_core}"
    began = time.perf_counter()
    done = subprocess.run(
        ["taskset", "-c", cores, sys.executable, "-m", "bench.scorers", str(cases)],
        capture_output=True,
        text=True,
        check=False,
    )
    took = time.perf_counter() - began
    if done.returncode:
        raise BenchError(f"the scorers ended with {done.returncode}: {done.stderr[-500:]}")
    found = json.loads(done.stdout)
    setting.say(f"{len(found['seconds'])} scorers over {cases:,} cases: {took:.1f} s")
    figures = [
        at_most(
            f"all {len(found['seconds'])} scorers over {cases:,} cases",
            took,
            20.0,
            "s",
            digits=1,
            note=f"one process, from exec to its end; {found['cpu']:.1f} s of a core; answers of {found['words']:.0f} words",
        )
    ]
    slowest = sorted(found["seconds"].items(), key=lambda each: -each[1])[:7]
    figures += [Figure(name=name, value=seconds, unit="s", digits=2) for name, seconds in slowest]
    return Part(
        name="scorers",
        title="Scorers",
        figures=figures,
        remarks=["Each answer is scored by all scorers in turn, as in a run. The slowest seven are listed."],
    )


def main(cases: int) -> None:
    dice = random.Random(7)
    lines = [line for line in _HANDBOOK.read_text("utf-8").splitlines() if line and line[0] not in "#-"]
    handbook = [sentence for line in lines for sentence in sentences(line)]
    prose = [_prose(dice, handbook, number) for number in range(cases)]
    structured = [_structured(dice, number) for number in range(cases)]
    seconds = asyncio.run(_scored(prose, structured))
    words = statistics.mean(len(output.text.split()) for _, output in prose)
    print(json.dumps({"seconds": seconds, "cpu": time.process_time(), "words": words}))


async def _scored(prose: Sequence[Pair], structured: Sequence[Pair]) -> dict[str, float]:
    """Seconds spent in each scorer, making it included."""
    embedder = LocalEmbedder()
    tools = Tools(embed=embedder.embed, tokens=embedder)
    spent: dict[str, float] = {}
    scorers: list[Scorer] = []
    for about in list_scorers():
        if about.asks_a_model:
            continue
        began = time.perf_counter()
        scorers.append(make_scorer({about.name: _SETTINGS.get(about.name, {})}, tools))
        spent[about.name] = time.perf_counter() - began
    for text, other in zip(prose, structured, strict=True):
        for scorer in scorers:
            case, output = _for(scorer.about.name, text, other)
            began = time.perf_counter()
            verdicts = await scorer(case, output)
            spent[scorer.about.name] += time.perf_counter() - began
            if not verdicts[0].scored:
                raise SystemExit(f"{scorer.about.name} did not score: {verdicts[0].comment}")
    return spent


def _for(name: str, prose: Pair, structured: Pair) -> Pair:
    """What a scorer is given: prose, or an answer of the kind it is for."""
    if name not in _STRUCTURED:
        return prose
    case, output = structured
    wanted: dict[str, Any] = case.reference
    if name == "tool_calls":
        return Case(id=case.id, input="", reference=wanted["calls"]), output
    if name in ("numeric", "classification"):
        key = "price" if name == "numeric" else "label"
        return Case(id=case.id, input="", reference=wanted[key]), Output(text=f"I would say {wanted[key]}.")
    return case, output


def _prose(dice: random.Random, handbook: Sequence[str], number: int) -> Pair:
    """Sentences of the handbook, and an answer with a third of the words replaced."""
    reference = " ".join(dice.sample(handbook, 4))
    words = reference.split()
    answer = [dice.choice(words) if dice.random() < 1 / 3 else word for word in words]
    output = Output(text=" ".join(answer), latency=dice.random(), cost=Decimal("0.0001"))
    return Case(id=str(number), input="", reference=reference), output


def _structured(dice: random.Random, number: int) -> Pair:
    """An order as JSON, with a call to a tool."""
    items = [{"sku": f"T-{dice.randrange(900)}", "quantity": dice.randrange(1, 5)} for _ in range(4)]
    order = {
        "price": round(dice.random() * 90, 2),
        "label": dice.choice(("delivery", "returns")),
        "items": items,
    }
    calls = [{"name": "find_order", "arguments": {"number": number}}]
    changed = {**order, "items": [*items[1:], items[0]]}
    output = Output(
        text=json.dumps(changed),
        tool_calls=[ToolCallPart(id="1", name="find_order", arguments={"number": number})],
    )
    return Case(id=str(number), input="", reference={**order, "calls": calls}), output


if __name__ == "__main__":
    main(int(sys.argv[1]))
