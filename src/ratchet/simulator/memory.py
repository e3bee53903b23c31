"""What the simulator remembers from one request to the next: prompt prefixes, and answers that can be gone on from."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import msgspec

from ratchet.simulator.prefixes import PrefixMemory

__all__ = ["Memory", "StoredResponse"]


class StoredResponse(msgspec.Struct, frozen=True):
    """A response that was kept: its object as sent, and all items up to it, its own output included."""

    body: dict[str, Any]
    items: tuple[dict[str, Any], ...]


class Memory:
    """Bounded: of each kind those kept longest ago are forgotten first."""

    def __init__(self, *, most_responses: int = 1000, most_items: int = 10_000) -> None:
        self.prefixes = PrefixMemory()
        self._responses: OrderedDict[str, StoredResponse] = OrderedDict()
        self._items: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._most_responses, self._most_items = most_responses, most_items

    def keep(self, name: str, response: StoredResponse) -> None:
        """Keeps a response under its id, and the items of its output under theirs."""
        self._responses[name] = response
        self._responses.move_to_end(name)
        if len(self._responses) > self._most_responses:
            self._responses.popitem(last=False)
        for item in response.body["output"]:
            self._items[item["id"]] = item
            self._items.move_to_end(item["id"])
        while len(self._items) > self._most_items:
            self._items.popitem(last=False)

    def response(self, name: str) -> StoredResponse | None:
        """The response of that id, if it is still known."""
        return self._responses.get(name)

    def item(self, name: str) -> dict[str, Any] | None:
        """The item of that id, if it is still known."""
        return self._items.get(name)

    def drop(self, name: str) -> bool:
        """Forgets one response; whether it was known."""
        return self._responses.pop(name, None) is not None

    def forget(self) -> None:
        """Forgets everything."""
        self.prefixes.forget()
        self._responses.clear()
        self._items.clear()
