"""What is asked of a model, whatever the dialect: the simulator's core sees only this."""

from __future__ import annotations

import re
from typing import Any

import msgspec

__all__ = ["Ask", "Call", "Tool", "Turn"]


_NAMED = re.compile(
    r"\b(?:[Mm]y name is|[Tt]his is|I[’']m|I am|[Ii]ch heiße|[Mm]e llamo|[Jj]e m[’']appelle)\s+([A-ZÀ-Þ][a-zà-ÿ'’-]+)"
)


class Call(msgspec.Struct, frozen=True):
    """A tool call: `arguments` is JSON text."""

    id: str
    name: str
    arguments: str


class Tool(msgspec.Struct, frozen=True):
    """`parameters` is a JSON Schema; an empty one stands for "no parameters"."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = {}


class Turn(msgspec.Struct, frozen=True):
    """One message. `blobs` are images, sounds and files as `(kind, content or address)`."""

    role: str  # system | developer | user | assistant | tool
    text: str = ""
    name: str = ""
    calls: tuple[Call, ...] = ()
    call_id: str = ""
    blobs: tuple[tuple[str, str], ...] = ()


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A request for an answer, checked. `key` is a digest of everything that may change the answer."""

    model: str
    turns: tuple[Turn, ...]
    key: bytes = b""
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"  # none | auto | required
    named_tool: str = ""  # set: exactly this tool is to be called
    parallel: bool = True
    format: str = "text"  # text | json_object | json_schema
    schema: dict[str, Any] | bool = True
    n: int = 1
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    temperature: float = 1.0
    seed: int | None = None
    logprobs: bool = False
    top_logprobs: int = 0
    thoughts: bool = False  # the model is to tell its thoughts, if it has any
    effort: str = ""  # none | minimal | low | medium | high | xhigh; "" when not given

    @property
    def system(self) -> str:
        """All system and developer messages, joined."""
        return "\n\n".join(turn.text for turn in self.turns if turn.role in {"system", "developer"})

    @property
    def question(self) -> str:
        """The last thing the user said."""
        return next((turn.text for turn in reversed(self.turns) if turn.role == "user"), "")

    @property
    def earlier(self) -> str:
        """What the user said just before the last thing, or nothing."""
        said = [turn.text for turn in self.turns if turn.role == "user"]
        return said[-2] if len(said) > 1 else ""

    @property
    def customer(self) -> str:
        """The customer's name as they gave it themselves, or nothing."""
        for turn in reversed(self.turns):
            if turn.role == "user":
                said = _NAMED.search(turn.text)
                if said or turn.name:
                    return said[1] if said else turn.name
        return ""

    @property
    def results(self) -> tuple[Turn, ...]:
        """The tool results that end the conversation, oldest first; empty when it ends otherwise."""
        found: list[Turn] = []
        for turn in reversed(self.turns):
            if turn.role != "tool":
                break
            found.append(turn)
        return tuple(reversed(found))
