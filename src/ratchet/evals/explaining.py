"""Why an output did not pass a check, for somebody who reads a failed test."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import msgspec

from ratchet.domain.cases import Case, Output, Verdict, text_of_input
from ratchet.errors import InvalidRequest
from ratchet.evals.wording import figure
from ratchet.scorers.scorer import ScorerAbout

__all__ = ["Scored", "explain", "shortfall"]

_LONGEST = 1_000  # characters of an input or output that are shown
_MARGIN = 12  # columns of the names at the left


class Scored(msgspec.Struct, frozen=True):
    """What one scorer said of an output. `verdicts` holds its main one, which has its name, and its parts."""

    about: ScorerAbout
    verdicts: list[Verdict]

    @property
    def main(self) -> Verdict:
        named = (verdict for verdict in self.verdicts if verdict.name == self.about.name)
        return next(named, self.verdicts[0])


def shortfall(scored: Scored, *, at_least: float | None = None, at_most: float | None = None) -> str:
    """What keeps an output from passing, "" where nothing does. What is unscored has not passed.

    Without a limit a scorer of yes and no must say what is better; others have no natural line. Raises InvalidRequest
    where a limit is missing.
    """
    about, verdict = scored.about, scored.main
    if at_least is None and at_most is None:
        if not about.binary:
            least, most = figure(about.low), figure(about.high)
            raise InvalidRequest(
                f"The scorer {about.name} gives numbers from {least} to {most}, and nothing says which will do.",
                "Give `at_least` or `at_most`.",
                param="at_least",
            )
        at_least, at_most = (1.0, None) if about.higher_is_better else (None, 0.0)
    if not verdict.scored:
        said = f" (it said {verdict.label!r})" if verdict.label else ""
        return f"{about.name} could not score it{said}"
    if at_least is not None and verdict.value < at_least:
        return f"{about.name} is {figure(verdict.value)}; at least {figure(at_least)} is needed"
    if at_most is not None and verdict.value > at_most:
        return f"{about.name} is {figure(verdict.value)}; at most {figure(at_most)} will do"
    return ""


def explain(case: Case, output: Output, failed: Sequence[tuple[Scored, str]]) -> str:
    """Each shortfall, what was asked, answered and expected, and what each scorer said about it."""
    lines = [f"case {case.id}: {'; '.join(why for _, why in failed)}"]
    lines += _part("input", text_of_input(case.input))
    if case.context:
        lines += _part("context", case.context)
    lines += _part("output", output.text if not output.error else f"none: {output.error}")
    if output.tool_calls:
        lines += _part("tool calls", _text([[call.name, call.arguments] for call in output.tool_calls]))
    if case.reference is not None:
        lines += _part("expected", _text(case.reference))
    for scored, _ in failed:
        for verdict in scored.verdicts:
            if verdict.comment or verdict is not scored.main:
                lines += _part(verdict.name, _said(verdict))
    if output.trace_id:
        lines += _part("trace", output.trace_id)
    return "\n".join(lines)


def _said(verdict: Verdict) -> str:
    value = figure(verdict.value) if verdict.scored else verdict.label or "unscored"
    return f"{value}: {verdict.comment}" if verdict.comment else value


def _part(name: str, text: str) -> list[str]:
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)"
    front = f"  {name}".ljust(_MARGIN) + ("" if len(name) < _MARGIN - 2 else "  ")
    first, *others = shown.splitlines() or [""]
    return [front + first, *(textwrap.indent(line, " " * _MARGIN) for line in others)]


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()
