"""Does the answer's text match? Exact, contains, regular expression."""

from __future__ import annotations

import re

from ratchet.domain.cases import Case, Output, Verdict
from ratchet.scorers.function import Result
from ratchet.scorers.reading import reference_texts
from ratchet.scorers.settings import PlainSettings

__all__ = ["Contains", "Exact", "Regex"]


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
