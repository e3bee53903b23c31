"""How long it takes to find the nearest of 100,000 kept questions, from its text to a decision.

`python -m bench.answers QUESTIONS` is the process that does it; it prints seconds as JSON.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import time

from bench.figures import Figure, Part, at_most, percentile
from bench.processes import BenchError
from bench.setting import Setting
from ratchet.domain.usage import Usage
from ratchet.embeddings import LocalEmbedder
from ratchet.gateway.cache.entries import Entry
from ratchet.gateway.cache.learning import JudgeErrors
from ratchet.gateway.cache.meanings import Meanings, Mind

__all__ = ["measure"]

_QUESTIONS, _ASKED = 100_000, 3000
_ROUTE = ("default", "support")
_ENTRY = Entry(b"x" * 500, False, False, b"application/json", "", "", ["stop"], Usage(), "0", 0, 0, 1 << 62)
_FRAMES = (
    "How do I {0} my {1}?",
    "Where can I {0} the {1} of {2}?",
    "please {0} {1} for {2} and {3}",
    "{1}: {0} {2}?",
)
_WORDS = (
    "order parcel invoice ticket account contract lamp garden bicycle violin window kitchen boat engine camera carpet "
    "cancel pause renew print share rename move open repair paint sell lift fold wash start polish measure replace "
    "summer winter paper water music letter number station market castle forest island mountain river doctor teacher"
)


def measure(setting: Setting) -> Part:
    questions = 5000 if setting.quick else _QUESTIONS
    done = subprocess.run(
        ["taskset", "-c", str(setting.gateway_core), sys.executable, "-m", "bench.answers", str(questions)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"the cache ended with {done.returncode}: {done.stderr[-500:]}")
    found = json.loads(done.stdout)
    return Part(
        name="answers",
        title="Answers to nearly the same question",
        figures=[
            at_most(
                f"look-up among {questions:,}, p99",
                found["p99"] * 1e3,
                2.0,
                "ms",
                digits=2,
                note=f"vector, words and decision included; {found['core'] * 1e3:.2f} ms of a core",
            ),
            Figure(name="p50", value=found["p50"] * 1e3, unit="ms", digits=2),
            Figure(name="keeping one more, p50", value=found["keeping"] * 1e3, unit="ms", digits=2),
            Figure(name="memory of the process", value=found["memory"], unit="MiB"),
        ],
    )


def main(questions: int) -> None:
    dice, words = random.Random(7), _WORDS.split()
    texts: dict[str, None] = {}
    while len(texts) < questions + _ASKED:
        frame = dice.choice(_FRAMES)
        texts[
            frame.format(*dice.sample(words, 4)) + " " + " ".join(dice.sample(words, dice.randrange(5)))
        ] = None
    said = list(texts)
    meanings, mind = Meanings(LocalEmbedder(kept=1000).vectors, limit=1 << 40), Mind(0.02, JudgeErrors())
    kept: list[float] = []
    for number, text in enumerate(said[:questions]):
        asked = meanings.read(text, who="u", route=_ROUTE, place="p")
        began = time.perf_counter()
        meanings.keep(asked, _ENTRY, "", personal=False)
        if number > questions - 2000:
            kept.append(time.perf_counter() - began)
    took: list[float] = []
    spent: list[float] = []
    for text in said[questions:]:
        began, idle = time.perf_counter(), time.thread_time()
        asked = meanings.read(text, who="v", route=_ROUTE, place="p")
        meanings.match(asked, mind, now=0)
        took.append(time.perf_counter() - began)
        spent.append(time.thread_time() - idle)
    print(
        json.dumps(
            {
                "p50": percentile(took, 0.5),
                "core": percentile(spent, 0.99),
                "p99": percentile(took, 0.99),
                "keeping": percentile(kept, 0.5),
                "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
