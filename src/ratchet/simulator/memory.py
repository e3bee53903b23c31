"""What the simulator remembers from one request to the next: prompt prefixes, and answers that can be gone on from."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import msgspec

from ratchet.simulator.prefixes import PrefixMemory

__all__ = ["Memory", "StoredResponse"]


class StoredResponse(msgspec.Struct, frozen=True):
    """A response that was kept: its object as sent, and all items that led to it, its own output included."""

    body: dict[str, Any]
    items: tuple[dict[str, Any], ...]


class Memory:
    """Bounded: of each kind the least recently used are forgotten first."""

    def __init__(self, *, most_responses: int = 1000) -> None:
        self.prefixes = PrefixMemory()
        self._responses: OrderedDict[str, StoredResponse] = OrderedDict()
        self._most = most_responses

    def keep(self, name: str, response: StoredResponse) -> None:
        """Keeps a response under its id."""
        self._responses[name] = response
        self._responses.move_to_end(name)
        if len(self._responses) > self._most:
            self._responses.popitem(last=False)

    def response(self, name: str) -> StoredResponse | None:
        """The response of that id, if it is still known."""
        return self._responses.get(name)

    def drop(self, name: str) -> bool:
        """Forgets one response; whether it was known."""
        return self._responses.pop(name, None) is not None

    def forget(self) -> None:
        """Forgets everything."""
        self.prefixes.forget()
        self._responses.clear()
