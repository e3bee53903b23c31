"""Asking models once: what was paid for before, by a process that was killed or by another one, costs nothing."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator
from decimal import Decimal
from pathlib import Path

import msgspec

from ratchet.app.asking import open_inside
from ratchet.app.paths import DataDir
from ratchet.evals.answering import SPENT, Memory, Spending
from ratchet.evals.ledger import Ledger
from ratchet.gateway.inside import Ask, Reply

__all__ = ["open_remembering"]


@contextlib.asynccontextmanager
async def open_remembering(config: Path, data: DataDir, *, name: str) -> AsyncGenerator[Ask]:
    """`ask` of `open_inside`, over the ledger of runs: each answer is kept before it is handed back.

    For work that never wants two answers to the very same question. Raises as `open_inside` does, and Unavailable where
    the ledger can't be used.
    """
    async with open_inside(config, data, name=name) as inside:
        with contextlib.closing(Ledger(data.ledger)) as ledger:
            ledger.forget_old(time.time_ns())
            memory = Memory(
                ledger, name, shared=True, now=time.time_ns, ask=inside.ask, identity=inside.identity
            )

            async def ask(path: str, body: bytes) -> Reply:
                SPENT.set(Spending())
                reply = await memory.ask(path, body)
                return msgspec.structs.replace(reply, cost=Decimal(0)) if reply.cached else reply

            yield ask
