"""A run: cases asked of candidates, and what came of it.

Times are nanoseconds since the Unix epoch, UTC; durations and latencies of answers are seconds.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlencode

import msgspec

from ratchet.domain.cases import Output, Verdict

__all__ = [
    "CACHED_COST",
    "CACHED_LATENCY",
    "CACHED_TRACE",
    "OPEN_STATUSES",
    "OWN_SETTINGS",
    "PRODUCTION",
    "QUEUED",
    "RUN_HEADER",
    "Candidate",
    "CaseFigures",
    "Progress",
    "Result",
    "Run",
    "RunTag",
]

QUEUED = "queued"  # in the settings of a run that the studio began, and begins again where it has to
OWN_SETTINGS = ("folder", "cache", QUEUED)  # what a run's settings hold beside the suite's keys
RUN_HEADER = b"x-ratchet-run"
# Attributes of an answer that was there already: what it cost and took when it was made, and where.
CACHED_COST = "ratchet.cached.cost"
CACHED_LATENCY = "ratchet.cached.latency"
CACHED_TRACE = "ratchet.cached.trace_id"
# What a run may still become something else from; a run that is `running` while nobody works at it was interrupted.
OPEN_STATUSES = ("queued", "running", "cancelling", "cancelled", "stopped", "failed")


class RunTag(msgspec.Struct, frozen=True, gc=False):
    """Which answer of which run a model call belongs to.

    `candidate` is "" for a call that judges an answer: it is part of the run, and no answer of a candidate.
    """

    run_id: str = ""
    candidate: str = ""
    case_id: str = ""
    repeat: int = 0

    def header(self) -> bytes:
        """The value of `x-ratchet-run`, in the form of a URL's query."""
        fields = {
            "run": self.run_id,
            "candidate": self.candidate,
            "case": self.case_id,
            "repeat": self.repeat,
        }
        return urlencode({name: value for name, value in fields.items() if value}).encode("ascii")

    @classmethod
    def read(cls, header: bytes | None) -> RunTag:
        """What `header` says. A value that can't be read says nothing: it never costs the request its answer."""
        fields = {name: values[0] for name, values in parse_qs((header or b"").decode("latin-1")).items()}
        repeat = fields.get("repeat", "0")
        return cls(
            run_id=fields.get("run", "")[:100],
            candidate=fields.get("candidate", "")[:300],
            case_id=fields.get("case", "")[:300],
            repeat=int(repeat) if repeat.isascii() and repeat.isdigit() and len(repeat) < 7 else 0,
        )


PRODUCTION = RunTag()


class Candidate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is tested, as it was when its run began.

    `kind`: prompt, route, model, http or python; `target` is what stands behind the kind in a suite file. `version`
    is the prompt's number and `hash` its content; `app_version` is what an app says of itself. `content` tells whether
    two candidates are the same thing: equal ones may share answers; "" where nobody can know.
    """

    name: str
    kind: str
    target: str
    version: str = ""
    hash: str = ""
    app_version: str = ""
    model: str = ""  # in place of the prompt's own
    system: str = ""
    parameters: dict[str, Any] = {}
    content: str = ""


class Progress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a run is. `cost` is what it has paid itself, in US dollars; `unpriced` calls had no known price."""

    done: int = 0
    total: int = 0
    errors: int = 0
    cached: int = 0
    cost: Decimal = Decimal(0)
    unpriced: int = 0


class Run(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One dataset version × candidates. `settings` is the suite as it was read.

    `status`: queued, running, cancelling, done, cancelled (by a person), stopped (`reason` says by which limit), failed (`reason`
    says why). `place` is the machine and data directory that hold what is needed to resume it.
    """

    id: str
    project_id: str
    suite: str
    settings: dict[str, Any]
    dataset: str
    dataset_version: str
    cases: int
    candidates: list[Candidate]
    scorers: list[dict[str, Any]]
    repeats: int = 1
    status: str = "queued"
    reason: str = ""
    author: str = ""
    place: str = ""
    created: int
    started: int | None = None
    ended: int | None = None
    touched: int  # when its process last said that it works
    progress: Progress = Progress()
    summary: dict[str, Any] = {}


class Result(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One answer and its verdicts. `cached`: another call has paid for it, of this run or an earlier one.

    `spent` is what the run itself has paid for the answer and its judging, in US dollars; `unpriced` of those calls
    had no known price. `labels` is what people said of the answer, by the name of their score.
    """

    candidate: str
    case_id: str
    repeat: int = 0
    output: Output
    verdicts: list[Verdict] = []
    cached: bool = False
    spent: Decimal = Decimal(0)
    unpriced: int = 0
    labels: dict[str, float] = {}


class CaseFigures(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What one candidate did on one case, over all its repeats in no order: numbers alone, NaN where unknown.

    `values` by the name of the verdict; `labels` is what people said, averaged.
    """

    candidate: str
    case_id: str
    values: dict[str, list[float]] = {}
    costs: list[float] = []
    latencies: list[float] = []
    labels: dict[str, float] = {}
