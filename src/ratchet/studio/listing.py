"""What every list and overview has around it: filters, time ranges, pages, sorting, and what an empty project shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import msgspec

from ratchet.errors import InvalidRequest
from ratchet.store.spans import Facets
from ratchet.studio.filters import DEFAULT_RANGE, RANGES, Selection
from ratchet.studio.services import RouteView, Visit

__all__ = [
    "FilterBar",
    "Heading",
    "Order",
    "Pager",
    "filter_bar",
    "first_request",
    "order_of",
    "pager",
    "whole",
]


class FilterBar(msgspec.Struct, frozen=True):
    """The form of filters at the top of a page. `kept` are parameters of the page's own that the form must not lose."""

    action: str  # the page's address
    selection: Selection
    facets: Facets
    routes: list[str]
    kept: dict[str, str]

    @property
    def ranges(self) -> Mapping[str, tuple[str, int]]:
        """The time ranges that can be chosen."""
        return RANGES

    def href(self, **changes: str) -> str:
        """The page's address with other filters; "" takes one out."""
        query = self.selection.query(**{**self.kept, **changes})
        return f"{self.action}?{query}" if query else self.action

    @property
    def cleared(self) -> str:
        """The page's address with its time range and no filter."""
        chosen = self.selection.range
        query = urlencode(
            {**({"range": chosen} if chosen not in (DEFAULT_RANGE, "custom") else {}), **self.kept}
        )
        return f"{self.action}?{query}" if query else self.action

    @property
    def query(self) -> str:
        """What stands behind the address's `?`."""
        return self.selection.query(**self.kept)

    @property
    def hidden(self) -> dict[str, str]:
        """What the form has no field for."""
        given = self.selection.params
        return {
            **self.kept,
            **{name: given[name] for name in ("key", "run", "without", "target", "failure") if name in given},
        }


def filter_bar(
    asked: Visit, selection: Selection, action: str, *, kept: Mapping[str, str] | None = None
) -> FilterBar:
    """The values that the filters offer are those of the last 30 days. Raises Unavailable."""
    facets: Facets = asked.request.app.state.facets.get(asked.services)
    configured = {route.name for route in asked.services.routes()}
    return FilterBar(
        action=action,
        selection=selection,
        facets=facets,
        routes=sorted(configured | set(facets.routes)),
        kept={name: value for name, value in (kept or {}).items() if value},
    )


class Pager(msgspec.Struct, frozen=True):
    """Which rows of how many are shown; the rest are query strings: `before` and `after` are None at the ends."""

    first: int
    last: int
    total: int
    wanted: int  # the number of the row that the page was to begin with
    before: str | None
    after: str | None
    first_page: str
    last_page: str


def pager(
    selection: Selection,
    offset: int,
    shown: int,
    total: int,
    limit: int,
    kept: Mapping[str, str] | None = None,
) -> Pager:
    """`kept` are parameters of the page's own."""
    end = offset + shown
    own = dict(kept or {})
    return Pager(
        first=offset + 1 if shown else 0,
        last=end,
        total=total,
        wanted=offset + 1,
        before=selection.query(**own, offset=str(max(0, offset - limit) or "")) if offset else None,
        after=selection.query(**own, offset=str(end)) if shown and end < total else None,
        first_page=selection.query(**own),
        last_page=selection.query(**own, offset=str(max(0, total - 1) // limit * limit or "")),
    )


class Heading(msgspec.Struct, frozen=True):
    """A column's heading: its name in data, what it says, and what to sort by ("" where it can't be)."""

    name: str
    label: str
    sort: str = ""
    numeric: bool = False
    rising: bool = False  # whether the first click sorts upwards, as names want it


class Order(msgspec.Struct, frozen=True):
    """How a list is sorted."""

    sort: str
    ascending: bool
    default: str

    @property
    def params(self) -> dict[str, str]:
        """The parameters that say so, as short as can be."""
        return _order_params(self.sort, ascending=self.ascending, default=self.default)

    def by(self, column: Heading) -> dict[str, str]:
        """The parameters for sorting by a column; by the one that is sorted by already, the other way round."""
        ascending = not self.ascending if column.sort == self.sort else column.rising
        return {
            "sort": "",
            "order": "",
            **_order_params(column.sort, ascending=ascending, default=self.default),
        }

    def state(self, column: Heading) -> str:
        """What `aria-sort` says of a column."""
        if not column.sort or column.sort != self.sort:
            return "none"
        return "ascending" if self.ascending else "descending"


def _order_params(sort: str, *, ascending: bool, default: str) -> dict[str, str]:
    found = {} if sort == default else {"sort": sort}
    return {**found, "order": "asc"} if ascending else found


def order_of(params: Mapping[str, str], orders: Sequence[str], default: str) -> Order:
    """`sort` and `order` (asc or desc, the latter unless told otherwise). Raises InvalidRequest."""
    sort = params.get("sort", "").strip() or default
    if sort not in orders:
        raise InvalidRequest(f"sort is {sort!r}.", f"It is one of {', '.join(orders)}.", param="sort")
    direction = params.get("order", "").strip() or "desc"
    if direction not in ("asc", "desc"):
        raise InvalidRequest(f"order is {direction!r}.", "It is asc or desc.", param="order")
    return Order(sort, direction == "asc", default)


def whole(params: Mapping[str, str], name: str, default: int, *, at_least: int, at_most: int) -> int:
    """A whole number among the parameters. Raises InvalidRequest."""
    text = params.get(name, "").strip()
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not at_least <= int(text[:12]) <= at_most:
        raise InvalidRequest(
            f"{name} is {text!r}.", f"It is a whole number from {at_least} to {at_most:,}.", param=name
        )
    return int(text)


def first_request(asked: Visit) -> dict[str, Any]:
    """What `first_trace.html` shows a project that has no trace yet."""
    example = next(iter(asked.services.routes()), RouteView(name="simulator/shop-bot"))
    return {"example_model": example.name, "gateway_url": asked.services.gateway_url}
