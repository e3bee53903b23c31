"""What a wire format has to offer, and what surrounds one request. The app knows wires only through these.

A `Vendor` says how keys are checked and what its errors look like; a `Wire` is one of its endpoints. Each reads a
body into a `Wanted`, which makes its own answer out of an `Occasion`. Everything else is the same for all: scripts,
faults, pace, counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ratchet.simulator.answer import Answer, answer
from ratchet.simulator.ask import Ask
from ratchet.simulator.dice import Dice
from ratchet.simulator.exchange import Exchange
from ratchet.simulator.faults import NO_FAULT, Fault
from ratchet.simulator.handbook import Handbook
from ratchet.simulator.memory import Memory
from ratchet.simulator.outcomes import Headers, Outcome
from ratchet.simulator.streams import SSE, Framing, Payload
from ratchet.simulator.tampering import tampered

__all__ = ["Made", "Occasion", "Refused", "Rejected", "Vendor", "Wanted", "Wire", "encode", "simulated"]

_EPOCH = 1_750_000_000
encode = msgspec.json.Encoder().encode


class Rejected(Exception):
    """A request that is answered with an error of its vendor's shape."""

    def __init__(self, message: str, outcome: Outcome) -> None:
        super().__init__(message)
        self.outcome = outcome


class Occasion(msgspec.Struct, frozen=True, kw_only=True):
    """One request's surroundings. `fixed`: the same request gets the same bytes, so nothing may come from a clock.

    `streamed` says whether a stream is to be made of it; `clock` gives seconds since the epoch.
    """

    body: bytes
    seed: int
    fixed: bool
    streamed: bool
    fault: Fault
    book: Handbook
    memory: Memory
    clock: Callable[[], float]

    def answered(self, ask: Ask) -> Answer:
        """The answer to `ask`, with what the fault does to it."""
        found = answer(ask, seed=self.seed, handbook=self.book)
        return found if self.fault is NO_FAULT else tampered(found, self.fault, self.book)

    def dice(self, name: str) -> Dice:
        """Dice for one purpose, drawn from the whole body."""
        return Dice(self.body + f" {name} {self.seed}".encode())

    def created(self, dice: Dice) -> int:
        """The time that the answer carries, in seconds since the epoch."""
        return _EPOCH + dice.below("created", 10_000_000) if self.fixed else int(self.clock())


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What goes out: `data` in one body, or `payloads` as a stream. `headers` are the vendor's own.

    `answer` tells the delays; `repeatable`: the same body gets the same bytes whatever comes between.
    """

    data: bytes = b""
    payloads: Sequence[Payload] = ()
    framing: Framing = SSE
    content_type: bytes = b"application/json"
    headers: Headers = ()
    answer: Answer | None = None
    repeatable: bool = False


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was read. `simulate` is the fault that its body asks for, see faults.py."""

    ask: Ask
    make: Callable[[Occasion], Made]
    stream: bool = False
    simulate: str = ""


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal that has nothing to do with a wire's own fields: too large, wrong method, unknown fault."""

    status: int
    message: str
    code: str = ""
    param: str = ""


class Vendor(msgspec.Struct, frozen=True, kw_only=True):
    """Keys and errors. `admit` raises `Rejected`; its second argument is the key that is asked for, None for any.

    `failed` gives the error of a fault's status. `heeds` names the headers that may change an answer.
    """

    admit: Callable[[Exchange, str | None], None]
    failed: Callable[[Fault], Outcome]
    refused: Callable[[Refused], Outcome]
    heeds: tuple[bytes, ...] = ()


class Wire(msgspec.Struct, frozen=True):
    """One endpoint that is posted to. `read` takes the body, the exchange for path and headers, and the memory of
    earlier requests; it raises `Rejected`.
    """

    vendor: Vendor
    read: Callable[[bytes, Exchange, Memory], Wanted]


def simulated(fields: dict[str, Any]) -> str:
    """The fault that a body's extra field `simulate` asks for, or nothing."""
    asked = fields.get("simulate")
    return asked if isinstance(asked, str) else ""
