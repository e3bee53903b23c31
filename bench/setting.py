"""What every part is given: where to work, which core does what, how long to measure."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec

from bench.processes import BenchError

__all__ = ["Setting", "chat_body", "cores"]

_MESSAGES = [
    {
        "role": "system",
        "content": "You are the support assistant of a small shop for outdoor gear. Answer from the handbook. Be brief. "
        "When the handbook has no answer, say so and offer to pass the question on to a colleague.",
    },
    {"role": "user", "content": "Hello! I ordered a tent on Monday."},
    {"role": "assistant", "content": "Thank you for your order. What would you like to know about it?"},
    {"role": "user", "content": "When does it leave your warehouse, and how long will it take to Utrecht?"},
]


class Setting(msgspec.Struct, frozen=True):
    """`gateway_core` runs the one gateway that is measured; `load_core` runs everything else."""

    folder: Path
    gateway_core: int
    load_core: int
    quick: bool
    rivals: bool

    def say(self, text: str) -> None:
        """Progress, for whoever watches."""
        print(f"  {text}", flush=True)

    def room(self, name: str) -> Path:
        """A folder for one part."""
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        return path


def cores() -> tuple[int, int]:
    """Two cores this process may use: one for the gateway, one for everything else."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise BenchError(
            "Two cores are needed: one for the gateway, one for upstream and load. This process may use one."
        )
    return usable[0], usable[1]


def chat_body(model: str, *, stream: bool = False) -> bytes:
    """A chat completion request of ordinary size, as an OpenAI client would send it."""
    body: dict[str, object] = {"model": model, "messages": _MESSAGES, "temperature": 0.2, "max_tokens": 256}
    if stream:
        body["stream"] = True
    return json.dumps(body, separators=(",", ":")).encode()
