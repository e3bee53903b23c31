"""A trace's tree, in windows small enough to render. Pure.

A page shows the first levels, at most `FIRST_ROWS` rows; a subtree opens when it is asked for, `WINDOW_ROWS` at a
time. Spans whose parent never arrived stand as roots with a mark, and so does the earliest span of a cycle with
another, so that every span of the trace can be reached.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from ratchet.store.spans import SpanHead

__all__ = ["FIRST_ROWS", "TICKS", "WINDOW_ROWS", "More", "Outline", "Row", "TreeWindow", "round_step"]

FIRST_ROWS = 180
WINDOW_ROWS = 100
TICKS = 4  # the axis has so many columns, and a tick at the left edge of each
_SECOND = 1_000_000_000
# Steps that read well on a clock. Below and above these, the same figures times a power of ten.
_FIGURES = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
_CLOCK_STEPS = tuple(
    round(figure * _SECOND)
    for figure in (10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 300, 450, 600, 900, 1200, 1800, 2700, 3600)
)


def round_step(duration: int) -> int:
    """The smallest round number of nanoseconds that fits into `duration` at most `TICKS` times."""
    least = max(1, -(-duration // TICKS))
    if 10 * _SECOND <= least <= _CLOCK_STEPS[-1]:
        return next(step for step in _CLOCK_STEPS if step >= least)
    unit = 3600 * _SECOND if least > _CLOCK_STEPS[-1] else 1
    power = 1
    while unit * power * 10 < least:
        power *= 10
    figures = (round(figure * unit * power) for figure in (*_FIGURES, 10))
    return next(step for step in figures if step >= least)


class Row(msgspec.Struct, frozen=True):
    """One visible span. `left`, `wait` and `width` are percent of the axis.

    `wait` is the part of the bar before the first token. `below` counts all descendants, `errors_below` the failed
    ones among them. `open` says whether its children follow; a closed row with children loads them when opened.
    """

    span: SpanHead
    depth: int
    children: int
    below: int
    errors_below: int
    open: bool
    mark: str  # "", "orphan": its parent has not arrived, or "loop": it is among its own ancestors
    left: float
    wait: float
    width: float


class More(msgspec.Struct, frozen=True):
    """Stands for the children of `parent_id` ("" for roots) from `offset` on, which are not shown yet."""

    parent_id: str
    depth: int
    offset: int
    total: int


class TreeWindow(msgspec.Struct, frozen=True):
    """Rows in the order they are read, depth first."""

    rows: list[Row | More]


class Outline:
    """The tree of one trace's spans."""

    def __init__(self, spans: Sequence[SpanHead]) -> None:
        ordered = sorted(spans, key=lambda span: (span.start, span.span_id))
        self.spans = {span.span_id: span for span in ordered}
        self.marks: dict[str, str] = {}
        self._children: dict[str, list[str]] = {}
        self._parent: dict[str, str] = {}
        self._link()
        self._depth, self._below, self._errors = self._measure()
        self.start = ordered[0].start if ordered else 0
        self.duration = max((span.start + span.duration for span in ordered), default=0) - self.start
        self.step = round_step(self.duration)  # between two ticks of the axis

    def _link(self) -> None:
        for identity, span in self.spans.items():
            parent = span.parent_id
            if parent and (parent not in self.spans or parent == identity):
                self.marks[identity] = "loop" if parent == identity else "orphan"
                parent = ""
            self._parent[identity] = parent
            self._children.setdefault(parent, []).append(identity)
        reached = set(self._walk(self._children.get("", [])))
        for identity in self.spans:
            if identity in reached:
                continue
            # A cycle: cut it at its earliest span.
            self._children[self._parent[identity]].remove(identity)
            self._parent[identity] = ""
            self.marks[identity] = "loop"
            self._children.setdefault("", []).append(identity)
            reached.update(self._walk([identity]))
        roots = self._children.get("", [])
        roots.sort(key=lambda identity: (self.spans[identity].start, identity))

    def _walk(self, roots: Sequence[str]) -> list[str]:
        """Every span under `roots`, parents before their children."""
        found: list[str] = []
        waiting = list(roots)
        while waiting:
            identity = waiting.pop()
            found.append(identity)
            waiting.extend(self._children.get(identity, ()))
        return found

    def _measure(self) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
        order = self._walk(self._children.get("", []))
        depth: dict[str, int] = {}
        for identity in order:
            parent = self._parent[identity]
            depth[identity] = depth[parent] + 1 if parent else 0
        below = dict.fromkeys(order, 0)
        errors = dict.fromkeys(order, 0)
        for identity in reversed(order):
            if parent := self._parent[identity]:
                below[parent] += below[identity] + 1
                errors[parent] += errors[identity] + (self.spans[identity].status == "error")
        return depth, below, errors

    def first(self, *, rows: int = FIRST_ROWS, window: int = WINDOW_ROWS, reveal: str = "") -> TreeWindow:
        """The first levels: every level is opened, top to bottom, while its rows still fit into `rows`.

        The ancestors of the span `reveal` are opened before others.
        """
        return self._window("", 0, rows=rows, window=window, reveal=frozenset(self.ancestors(reveal)))

    def under(
        self, parent_id: str, offset: int = 0, *, rows: int = WINDOW_ROWS, window: int = WINDOW_ROWS
    ) -> TreeWindow:
        """The children of `parent_id` ("" for roots) from `offset` on, opened further down while there is room."""
        return self._window(parent_id, offset, rows=rows, window=window, reveal=frozenset())

    def ancestors(self, span_id: str) -> list[str]:
        """From the root down to the span's parent."""
        found: list[str] = []
        while parent := self._parent.get(span_id, ""):
            found.append(parent)
            span_id = parent
        return found[::-1]

    def _window(self, top: str, offset: int, *, rows: int, window: int, reveal: frozenset[str]) -> TreeWindow:
        shown: dict[str, int] = {}  # span or "" -> how many of its children are visible
        left = rows
        waiting = deque([(top, offset)])
        while waiting and left > 0:
            identity, skipped = waiting.popleft()
            children = self._children.get(identity, [])
            fits = min(len(children) - skipped, window, left)
            # A family that the remaining room would cut short stays closed: its row says how many are below.
            cut_short = fits < min(len(children) - skipped, window)
            if fits <= 0 or (cut_short and identity != top and identity not in reveal):
                continue
            shown[identity] = fits
            left -= fits
            visible = children[skipped : skipped + fits]
            waiting.extendleft((child, 0) for child in reversed(visible) if child in reveal)
            waiting.extend((child, 0) for child in visible if child not in reveal)
        return TreeWindow(rows=self._lay_out(top, offset, shown))

    def _lay_out(self, top: str, offset: int, shown: dict[str, int]) -> list[Row | More]:
        laid: list[Row | More] = []
        # Each entry: a span to show, or the rest of a family to stand for.
        waiting: list[str | More] = self._family(top, offset, shown)
        while waiting:
            entry = waiting.pop()
            if isinstance(entry, More):
                laid.append(entry)
                continue
            laid.append(self._row(entry, is_open=entry in shown))
            if entry in shown:
                waiting.extend(self._family(entry, 0, shown))
        return laid

    def _family(self, identity: str, offset: int, shown: dict[str, int]) -> list[str | More]:
        """The visible children and what stands for the others, last first."""
        children = self._children.get(identity, [])
        end = offset + shown.get(identity, 0)
        family: list[str | More] = list(children[offset:end])
        if end < len(children):
            depth = self._depth[identity] + 1 if identity else 0
            family.append(More(parent_id=identity, depth=depth, offset=end, total=len(children)))
        return family[::-1]

    def _row(self, identity: str, *, is_open: bool) -> Row:
        span = self.spans[identity]
        total = self.step * TICKS
        wait = span.time_to_first_token or 0
        return Row(
            span=span,
            depth=self._depth[identity],
            children=len(self._children.get(identity, ())),
            below=self._below[identity],
            errors_below=self._errors[identity],
            open=is_open,
            mark=self.marks.get(identity, ""),
            left=100 * (span.start - self.start) / total,
            wait=100 * min(wait, span.duration) / total,
            width=100 * span.duration / total,
        )
