"""A saved view: where a list stood, under a name. Times are nanoseconds since the Unix epoch, UTC."""

from __future__ import annotations

import msgspec

__all__ = ["View"]


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A page's filters, range and order. `owner` alone sees it, unless it is `shared` with the project."""

    id: str
    project_id: str
    page: str  # the page's path, e.g. /traces
    name: str
    query: str  # what stands behind the `?`
    owner: str  # the member's e-mail address
    shared: bool
    created: int
    changed: int

    @property
    def address(self) -> str:
        return f"{self.page}?{self.query}" if self.query else self.page
