"""A run: cases asked of candidates, and what came of it."""

from __future__ import annotations

from urllib.parse import parse_qs, urlencode

import msgspec

__all__ = ["PRODUCTION", "RUN_HEADER", "RunTag"]

RUN_HEADER = b"x-ratchet-run"


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
