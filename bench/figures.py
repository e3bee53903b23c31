"""A figure, its target, and how a table of them is printed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

__all__ = ["Figure", "Part", "at_least", "at_most", "missed", "part_table", "percentile"]


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One number. A target is a bound on `value`; a figure without one is there to be compared with."""

    name: str
    value: float | None  # None: it could not be measured, which never meets a target
    unit: str = ""
    digits: int = 0
    least: float | None = None
    most: float | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """`ok`, `MISSED`, or nothing where there is no target."""
        if self.least is None and self.most is None:
            return ""
        if self.value is None:
            return "MISSED"
        low = self.least is not None and self.value < self.least
        high = self.most is not None and self.value > self.most
        return "MISSED" if low or high else "ok"

    @property
    def target(self) -> str:
        if self.least is not None:
            return f"≥ {self.least:,.{self.digits}f}"
        if self.most is not None:
            return f"≤ {self.most:,.{self.digits}f}"
        return ""

    @property
    def shown(self) -> str:
        return "not measured" if self.value is None else f"{self.value:,.{self.digits}f}"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What one part of the bench found."""

    name: str
    title: str
    figures: list[Figure]
    remarks: list[str] = msgspec.field(default_factory=list[str])


def at_least(
    name: str, value: float | None, bound: float, unit: str = "", *, digits: int = 0, note: str = ""
) -> Figure:
    return Figure(name=name, value=value, unit=unit, digits=digits, least=bound, note=note)


def at_most(
    name: str, value: float | None, bound: float, unit: str = "", *, digits: int = 0, note: str = ""
) -> Figure:
    return Figure(name=name, value=value, unit=unit, digits=digits, most=bound, note=note)


def missed(parts: Iterable[Part]) -> list[tuple[Part, Figure]]:
    """Every figure that is short of its target."""
    return [(part, figure) for part in parts for figure in part.figures if figure.verdict == "MISSED"]


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of `values` (not empty), `share` in 0..1."""
    ordered = sorted(values)
    rank = max(0, min(len(ordered) - 1, int(-(-share * len(ordered) // 1)) - 1))
    return ordered[rank]


def part_table(part: Part) -> str:
    """The part as a Markdown table, also pleasant to read in a terminal."""
    rows = [("figure", "value", "unit", "target", "", "note")]
    rows += [(f.name, f.shown, f.unit, f.target, f.verdict, f.note) for f in part.figures]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [f"### {part.title}", ""]
    for index, row in enumerate(rows):
        cells = [
            cell.rjust(width) if column == 1 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("| " + " | ".join(cells) + " |")
        if index == 0:
            rules = [
                "-" * (width - 1) + ":" if column == 1 else "-" * width for column, width in enumerate(widths)
            ]
            lines.append("| " + " | ".join(rules) + " |")
    lines += [""] + [f"- {remark}" for remark in part.remarks]
    return "\n".join(lines).rstrip() + "\n"
