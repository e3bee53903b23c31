"""Is the answer's text as it should be? The same, near it, with or without certain texts, as long, the same number."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any, Literal

from rapidfuzz.distance import Levenshtein

from ratchet.domain.cases import Case, Output, Verdict
from ratchet.scorers.function import Result, Unscored
from ratchet.scorers.reading import reference_texts
from ratchet.scorers.scorer import ScorerAbout
from ratchet.scorers.settings import PlainSettings

__all__ = ["Contains", "EditDistance", "Exact", "Length", "Numeric", "Regex", "numbers_in"]


class Exact(PlainSettings, frozen=True):
    """1 where the answer is the reference, or one of several."""

    ignore_case: bool = False
    strip: bool = True  # white space around either

    def score(self, case: Case, output: Output) -> Result:
        return self._plain(output.text) in {self._plain(each) for each in reference_texts(case)}

    def _plain(self, text: str) -> str:
        text = text.strip() if self.strip else text
        return text.casefold() if self.ignore_case else text


class Contains(PlainSettings, frozen=True):
    """1 where the answer contains every text of `all` and at least one of `any`; without either, the reference."""

    all: tuple[str, ...] = ()
    any: tuple[str, ...] = ()
    ignore_case: bool = False

    def score(self, case: Case, output: Output) -> Result:
        some = self.any if self.all or self.any else reference_texts(case)
        text = self._plain(output.text)
        missing = [each for each in self.all if self._plain(each) not in text]
        if missing:
            return Verdict(name="", value=0.0, comment=f"missing: {', '.join(missing)}")
        if some and all(self._plain(each) not in text for each in some):
            return Verdict(name="", value=0.0, comment=f"none of: {', '.join(some)}")
        return True

    def _plain(self, text: str) -> str:
        return text.casefold() if self.ignore_case else text


class Regex(PlainSettings, frozen=True):
    """1 where `pattern` is found in the answer, or is all of it (`full`)."""

    pattern: str
    full: bool = False
    ignore_case: bool = False

    def __post_init__(self) -> None:
        try:
            self._compiled()
        except re.error as error:
            raise ValueError(f"`pattern` is no regular expression: {error}") from None

    def score(self, case: Case, output: Output) -> Result:
        compiled = self._compiled()
        return (compiled.fullmatch if self.full else compiled.search)(output.text) is not None

    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern, re.IGNORECASE if self.ignore_case else 0)


class EditDistance(PlainSettings, frozen=True):
    """1 less the Levenshtein distance divided by the longer text's length, in characters (Levenshtein 1966).

    1 where the texts are the same. Of several references the nearest counts.
    """

    ignore_case: bool = False

    def score(self, case: Case, output: Output) -> Result:
        text = self._plain(output.text)
        return max(
            Levenshtein.normalized_similarity(text, self._plain(each)) for each in reference_texts(case)
        )

    def _plain(self, text: str) -> str:
        return text.casefold() if self.ignore_case else text


class Length(PlainSettings, frozen=True):
    """1 where the answer is as long as `least` and `most` allow; without either, its length itself.

    Words are what white space separates. Tokens are those that the provider counted.
    """

    unit: Literal["characters", "words", "tokens"] = "words"
    least: int | None = None
    most: int | None = None

    def __post_init__(self) -> None:
        if self.least is not None and self.most is not None and self.least > self.most:
            raise ValueError(f"`least` ({self.least}) is more than `most` ({self.most})")

    def known(self, about: ScorerAbout) -> ScorerAbout:
        if self._limited:
            return super().known(about)
        return replace(super().known(about), high=None, binary=False)

    def score(self, case: Case, output: Output) -> Result:
        length = self._length(output)
        if not self._limited:
            return float(length)
        short = self.least is not None and length < self.least
        long = self.most is not None and length > self.most
        return Verdict(name="", value=float(not (short or long)), comment=f"{length} {self.unit}")

    @property
    def _limited(self) -> bool:
        return self.least is not None or self.most is not None

    def _length(self, output: Output) -> int:
        if self.unit == "characters":
            return len(output.text)
        if self.unit == "words":
            return len(output.text.split())
        if output.output_tokens is None:
            raise Unscored("the provider counted no tokens")
        return output.output_tokens


_SPACES = (
    r"_\u00a0\u2009\u202f"  # what may stand between groups of digits: an underscore, hard and thin spaces
)


def _number_pattern(decimal: str, group: str) -> re.Pattern[str]:
    grouped = rf"\d{{1,3}}(?:[{group}{_SPACES}]\d{{3}})+(?!\d)"
    whole = rf"(?:{grouped}|\d+)(?:{decimal}\d+)?"
    return re.compile(rf"(?<![\w{decimal}])[-+−]?(?:{whole}|{decimal}\d+)(?:[eE][-+]?\d+)?")


_NUMBERS = {".": _number_pattern(r"\.", ","), ",": _number_pattern(",", r"\.")}
_BETWEEN = {".": re.compile(rf"[,{_SPACES}]"), ",": re.compile(rf"[.{_SPACES}]")}


def numbers_in(text: str, decimal: str = ".") -> list[float]:
    """Every number in a text, in order.

    A sign counts where no letter or digit stands before it, so "2019-2021" is 2019 and 2021. Digits may be grouped by
    three with a comma (a point where `decimal` is a comma), an underscore or a hard space; an exponent may follow.
    Currency and percent signs are not read: "12 %" is 12.
    """
    found = [
        float(_BETWEEN[decimal].sub("", match[0]).replace(",", ".").replace("−", "-"))
        for match in _NUMBERS[decimal].finditer(text)
    ]
    return [each for each in found if math.isfinite(each)]


class Numeric(PlainSettings, frozen=True):
    """1 where the answer's number is the reference's, within `absolute` or `relative` (of the reference).

    Of an answer in prose the last number counts, or the first (`take`). An answer without a number is wrong: 0.
    """

    absolute: float = 0.0
    relative: float = 0.0
    take: Literal["last", "first"] = "last"
    decimal: Literal[".", ","] = "."

    def __post_init__(self) -> None:
        for key, value in (("absolute", self.absolute), ("relative", self.relative)):
            if not 0 <= value < math.inf:
                raise ValueError(f"`{key}` must be 0 or more, and is {value}")

    def score(self, case: Case, output: Output) -> Result:
        wanted = [self._reference(each) for each in self._references(case)]
        found = numbers_in(output.text, self.decimal)
        if not found:
            return Verdict(name="", value=0.0, comment="there is no number in the answer")
        number = found[-1] if self.take == "last" else found[0]
        right = any(abs(number - each) <= max(self.absolute, self.relative * abs(each)) for each in wanted)
        told = " or ".join(f"{each:g}" for each in wanted)
        return Verdict(name="", value=float(right), comment=f"found {number:g}, expected {told}")

    def _references(self, case: Case) -> list[Any]:
        if isinstance(case.reference, int | float) and not isinstance(case.reference, bool):
            return [case.reference]
        return list(reference_texts(case))

    def _reference(self, reference: Any) -> float:
        if not isinstance(reference, str):
            return float(reference)
        found = numbers_in(reference, self.decimal)
        if len(found) != 1:
            raise Unscored(f"the reference must hold one number, and holds {len(found)}")
        return found[0]
