"""A function as a scorer: the built-in ones are made so, and people's own.

@scorer(name="polite")
def polite(case, output):
    return "please" in output.text
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, cast, overload

import msgspec

from ratchet.domain.cases import UNSCORED, Case, Output, Verdict, as_utf8
from ratchet.errors import InvalidRequest
from ratchet.scorers.scorer import ScorerAbout, Tally

__all__ = ["FunctionScorer", "Result", "TallyingScorer", "Unscored", "scorer"]

Result = float | bool | str | Verdict | list[Verdict]
"""What a scoring function returns: a number, yes or no, a label, or whole verdicts.

A verdict's name may be "" for the scorer's own, or ".part" for `<scorer>.part`."""

Function = Callable[[Case, Output], Result | Awaitable[Result]]


class Unscored(Exception):
    """Raised by a scoring function where no value can be given; its text becomes the verdict's comment."""


class FunctionScorer:
    """A scorer made of a function. What can't be scored is NaN with a comment, under every name it would have had.

    A person's own function may raise anything: one bad case must not end a run, so the comment says what it raised.
    `failures` says that outputs which are errors are scored too.
    """

    def __init__(
        self, about: ScorerAbout, function: Function, *, own: bool = False, failures: bool = False
    ) -> None:
        self.about = about
        self.function = function
        self._own = own
        self._failures = failures

    async def __call__(self, case: Case, output: Output) -> list[Verdict]:
        if output.error and not self._failures:
            return self._unscored(f"there is no answer: {output.error}")
        if case.reference is None and self.about.needs_reference:
            return self._unscored("the case has no reference")
        try:
            result = self.function(case, output)
            if inspect.isawaitable(result):
                result = await result
            return self._verdicts(result)
        except Unscored as reason:
            return self._unscored(str(reason))
        except RecursionError:
            return self._unscored("it is nested too deeply")
        except (Exception, SystemExit) as error:  # recorded as the verdict's comment
            if not self._own:
                raise
            return self._unscored(as_utf8(f"{self.about.name} raised {type(error).__name__}: {error}"))

    def renamed(self, name: str) -> FunctionScorer:
        """The same scorer, whose verdicts have another name."""
        about = replace(self.about, name=name)
        return FunctionScorer(about, self.function, own=self._own, failures=self._failures)

    def _unscored(self, why: str) -> list[Verdict]:
        names = [self.about.name, *(f"{self.about.name}.{part}" for part in self.about.parts)]
        return [Verdict(name=name, comment=why) for name in names]

    def _verdicts(self, result: Result) -> list[Verdict]:
        name = self.about.name
        if isinstance(result, list):
            verdicts = [self._named(each) for each in cast("list[object]", result)]
            if not verdicts:
                raise Unscored(f"{name} returned no verdict")
            return verdicts
        if isinstance(result, Verdict):
            return [self._named(result)]
        if isinstance(result, str):
            return [Verdict(name=name, label=as_utf8(result))]
        return [self._named(Verdict(name=name, value=_number(name, result)))]

    def _named(self, verdict: object) -> Verdict:
        """The verdict with its full name, and with a value that is finite or NaN."""
        if not isinstance(verdict, Verdict):
            raise Unscored(
                f"{self.about.name} returned a list with {type(verdict).__name__} in it, not a Verdict"
            )
        name, own = verdict.name, self.about.name
        if not name or name.startswith("."):
            verdict = msgspec.structs.replace(verdict, name=own + name)
        elif name != own and not name.startswith(f"{own}."):
            raise Unscored(f"{own} returned a verdict named {name!r}; name it '' or '.part'")
        if self._own:
            _written_down(own, verdict)
        if math.isinf(verdict.value) or (
            math.isnan(verdict.value) and not verdict.comment and not verdict.label
        ):
            verdict = msgspec.structs.replace(
                verdict, value=UNSCORED, comment=verdict.comment or f"the value is {verdict.value}"
            )
        if self._own and verdict.name == own:
            _in_range(self.about, verdict.value)
        return verdict


class TallyingScorer(FunctionScorer):
    """A function scorer with a figure for the whole set."""

    def __init__(
        self, about: ScorerAbout, function: Function, tally: Callable[[Sequence[Verdict]], Tally]
    ) -> None:
        super().__init__(about, function)
        self._tally = tally

    def tally(self, verdicts: Sequence[Verdict]) -> Tally:
        return self._tally(verdicts)


@overload
def scorer(function: Function, /) -> FunctionScorer: ...


@overload
def scorer(
    *,
    name: str = "",
    title: str = "",
    higher_is_better: bool = True,
    low: float | None = 0.0,
    high: float | None = 1.0,
    binary: bool = False,
    needs_reference: bool = False,
) -> Callable[[Function], FunctionScorer]: ...


def scorer(
    function: Function | None = None,
    /,
    *,
    name: str = "",
    title: str = "",
    higher_is_better: bool = True,
    low: float | None = 0.0,
    high: float | None = 1.0,
    binary: bool = False,
    needs_reference: bool = False,
) -> FunctionScorer | Callable[[Function], FunctionScorer]:
    """Makes a scorer of a function `(case, output)`, sync or async.

    It returns a number, True or False, a label, a Verdict or a list of them. `name` is the function's own unless
    given, `title` the first line of its docstring. What is beyond `low` or `high` is unscored; None is no bound. A function that waits for something should be async.
    """

    def decorate(function: Function) -> FunctionScorer:
        about = ScorerAbout(
            name=name or str(getattr(function, "__name__", "")),
            title=title or (inspect.getdoc(function) or "").partition("\n")[0],
            higher_is_better=higher_is_better,
            low=low,
            high=high,
            binary=binary,
            needs_reference=needs_reference,
        )
        return FunctionScorer(_checked(about), function, own=True)

    return decorate if function is None else decorate(function)


def _checked(about: ScorerAbout) -> ScorerAbout:
    if not about.name or about.name.startswith(("<", ".")):
        raise InvalidRequest("A scorer has no name.", "Name it: @scorer(name=…).")
    return about


def _written_down(name: str, verdict: Verdict) -> None:
    """Raises Unscored for what can't be kept: half a surrogate pair, an object that is no JSON."""
    try:
        msgspec.json.encode(verdict)
    except (TypeError, ValueError, OverflowError) as error:
        raise Unscored(f"{name} returned a verdict that can't be written down: {error}") from None


def _in_range(about: ScorerAbout, value: float) -> None:
    """Raises Unscored: what is promised of intervals and gates stands on the range that the scorer declares."""
    if (about.low is not None and value < about.low) or (about.high is not None and value > about.high):
        low, high = ("any" if end is None else f"{end:g}" for end in (about.low, about.high))
        raise Unscored(
            f"{about.name} returned {value:g}, and its range is {low} to {high}; "
            "say @scorer(low=…, high=…), None for an end that has no bound"
        )


def _number(name: str, result: Any) -> float:
    try:
        return float(result)
    except (TypeError, ValueError):
        raise Unscored(
            f"{name} returned {type(result).__name__}; expected a number, True or False, a text, or verdicts"
        ) from None
