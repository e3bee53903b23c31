"""METEOR of 2005: words matched as they are, then by their stems, and a penalty for words out of order."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence

from ratchet.domain.cases import Case, Output
from ratchet.scorers.function import Result, Unscored
from ratchet.scorers.reading import reference_texts
from ratchet.scorers.settings import PlainSettings
from ratchet.scorers.stemming import Stemmer

__all__ = ["Meteor", "meteor"]

_WORD = re.compile(r"\w+")


class Meteor(PlainSettings, frozen=True):
    """METEOR of the answer (Banerjee & Lavie 2005) without its matching of synonyms, 0–1. For English.

    Of several references the best counts.
    """

    def score(self, case: Case, output: Output) -> Result:
        made = _words(output.text)
        wanted = [words for each in reference_texts(case) if (words := _words(each))]
        if not wanted:
            raise Unscored("the reference has no words")
        return max(meteor(made, each) for each in wanted)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def meteor(made: Sequence[str], wanted: Sequence[str]) -> float:
    """From lower-case words; 0 where none match.

    Fmean = 10PR/(R + 9P), less 0.5 · (chunks / matches)³ of it. Left out: WordNet's synonyms, and the search for the
    alignment with the fewest crossings; here a word is matched so that the longest run of words in order results.
    """
    places = _aligned(made, wanted)
    matches = len(places)
    if not matches:
        return 0.0
    precision, recall = matches / len(made), matches / len(wanted)
    mean = 10 * precision * recall / (recall + 9 * precision)
    chunks = sum(places.get(here - 1) != there - 1 for here, there in places.items())
    return mean * (1 - 0.5 * (chunks / matches) ** 3)


def _aligned(made: Sequence[str], wanted: Sequence[str]) -> dict[int, int]:
    """For each matched word of the answer its place in the reference. Exact matches go before those of stems."""
    places: dict[int, int] = {}
    free = set(range(len(wanted)))
    stages: tuple[Callable[[str], str], ...] = (str, Stemmer.stem)
    for form in stages:
        if len(places) == len(made) or not free:
            break
        _match([form(word) for word in made], [form(word) for word in wanted], places, free)
    return places


def _match(made: list[str], wanted: list[str], places: dict[int, int], free: set[int]) -> None:
    where: defaultdict[str, list[int]] = defaultdict(list)
    for there in sorted(free):
        where[wanted[there]].append(there)

    def run(here: int, there: int) -> int:
        """How many words in order could be matched from here."""
        length = 0
        while (
            here + length < len(made)
            and here + length not in places
            and there + length in free
            and made[here + length] == wanted[there + length]
        ):
            length += 1
        return length

    for here in range(len(made)):
        if here in places:
            continue
        candidates = [there for there in where.get(made[here], ()) if there in free]
        if not candidates:
            continue
        after = places.get(here - 1, -2) + 1
        best = max(candidates, key=lambda there: (there == after, run(here, there), -there))
        places[here] = best
        free.discard(best)
