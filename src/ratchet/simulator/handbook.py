"""The text the support bot knows, and a small search over it.

A handbook is Markdown: `## 12. Title`, a paragraph, and optional lines `- de: …`, `- es: …`, `- fr: …` that say the
same in another language. Text without headings works too: each paragraph is then a section.

The search is BM25 (Robertson and Zaragoza, 2009: k1 = 1.2, b = 0.75) over word beginnings, with titles counted
three times, so a question in any of the four languages finds the section whose lines share its words.
"""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Sequence
from importlib import resources

import msgspec

from ratchet.simulator.lexicon import KINDS, SAME, STOP

__all__ = ["Handbook", "Hit", "Section", "sentences", "terms"]

_HEADING = re.compile(
    r"^\s{0,3}(?:#{1,6}\s+|\*\*|§\s*|\[)(?P<number>\d+(?:\.\d+)*)?[.):\]]?\s*(?P<title>[^\n]*?)\**:?\s*$"
)
_TRANSLATION = re.compile(r"^-\s*(?P<language>[a-z]{2}):\s*(?P<text>.+)$")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-ZÀ-ÞÄÖÜ¿¡\"“(0-9])")
_WORD = re.compile(r"[^\W_]+")
_BEGINNING = 6
_K1, _B = 1.2, 0.75
_TITLE_WEIGHT = 3
_LEAST_SIZE = 40
_LONGEST_HEADING = 200
_KIND_WEIGHT = 2.5  # a sentence that says what kind of thing was asked for: money, time


class Section(msgspec.Struct, frozen=True):
    """`translations` maps a language code to the same content in that language, where there is one."""

    number: str
    title: str
    sentences: tuple[str, ...]
    translations: dict[str, tuple[str, ...]]

    @property
    def text(self) -> str:
        return " ".join(self.sentences)


class Hit(msgspec.Struct, frozen=True):
    """`score` is BM25's sum; `share` is the part of the question's weight that the section covers, 0 to 1;
    `matched` is how many of its words.
    """

    section: Section
    score: float
    share: float
    index: int
    matched: int


def sentences(text: str) -> tuple[str, ...]:
    """The sentences of one paragraph, trimmed."""
    return tuple(part.strip() for part in _SENTENCE_END.split(text.replace("\n", " ")) if part.strip())


@functools.lru_cache(maxsize=8192)
def _beginning(word: str) -> str:
    word = SAME.get(word, word)
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    return word[:_BEGINNING]


def terms(text: str) -> list[str]:
    """What is searched for: lower-case word beginnings without the commonest words of four languages."""
    return [_beginning(word) for word in _WORD.findall(text.lower()) if word not in STOP]


class Handbook:
    """Sections with an index; `source` is the text they were read from. Immutable once built."""

    def __init__(self, title: str, sections: tuple[Section, ...], source: str = "") -> None:
        self.title = title
        self.source = source
        self.sections = sections
        counts = [_counted(section) for section in sections]
        mean = (sum(sum(c.values()) for c in counts) / len(counts) if counts else 0.0) or 1.0
        seen = Counter(term for c in counts for term in c)
        # A short text counts as part of a longer one: in two paragraphs no word would be rare.
        size = max(len(counts), _LEAST_SIZE)
        self._rarity = {t: math.log(1 + (size - n + 0.5) / (n + 0.5)) for t, n in seen.items()}
        self._unknown = math.log(1 + (size + 0.5) / 0.5)
        self._postings: dict[str, list[tuple[int, float]]] = {}
        for index, c in enumerate(counts):
            length = _K1 * (1 - _B + _B * sum(c.values()) / mean)
            for term, times in c.items():
                weight = self._rarity[term] * times * (_K1 + 1) / (times + length)
                self._postings.setdefault(term, []).append((index, weight))

    @classmethod
    def parse(cls, text: str) -> Handbook:
        """A handbook from Markdown or plain paragraphs. Text with no content gives one without sections."""
        title, blocks = _blocks(text)
        sections = tuple(
            _section(i, number, name, lines) for i, (number, name, lines) in enumerate(blocks, 1)
        )
        return cls(title, sections, text)

    @classmethod
    def shipped(cls) -> Handbook:
        """The handbook of the invented shop that comes with the simulator."""
        return _shipped()

    def knows(self, term: str) -> bool:
        """Whether any section contains a word with this beginning."""
        return term in self._postings

    def rarity(self, term: str) -> float:
        """Inverse document frequency; a word no section has counts as the rarest."""
        return self._rarity.get(term, self._unknown)

    def find(self, text: str, *, limit: int = 3, hint: str = "") -> list[Hit]:
        """The best sections for `text`, best first. Words of `hint` (an earlier question) count a third."""
        scores: dict[int, float] = {}
        found: dict[int, float] = {}
        matched: dict[int, int] = {}
        total = 0.0
        for term in dict.fromkeys(terms(text)):
            if term.isdigit() and term not in self._postings:
                continue  # an order number or an amount says nothing about the subject
            rarity = self.rarity(term)
            total += rarity
            for index, weight in self._postings.get(term, ()):
                scores[index] = scores.get(index, 0.0) + weight
                found[index] = found.get(index, 0.0) + rarity
                matched[index] = matched.get(index, 0) + 1
        for term in dict.fromkeys(terms(hint)):
            for index, weight in self._postings.get(term, ()):
                scores[index] = scores.get(index, 0.0) + weight / 3
        best = sorted(scores, key=lambda index: (-scores[index], index))[:limit]
        whole = total or 1.0
        return [
            Hit(self.sections[i], scores[i], found.get(i, 0.0) / whole, i, matched.get(i, 0)) for i in best
        ]

    def best_sentences(self, section: Section, question: str, language: str, limit: int) -> tuple[str, ...]:
        """At most `limit` sentences of the section, in their order, those closest to the question."""
        lines = section.translations.get(language, section.sentences)
        return self.best_lines(lines, question, limit, title=section.title)

    def best_lines(
        self, lines: Sequence[str], question: str, limit: int, *, title: str = ""
    ) -> tuple[str, ...]:
        """At most `limit` of the lines, in their order, those closest to the question. Words of `title` count less."""
        if len(lines) <= limit:
            return tuple(lines)
        wanted = set(terms(question))
        shared = set(terms(title))
        weight = [
            sum(
                self.rarity(term) * (0.3 if term in shared else 1.0)
                for term in wanted.intersection(terms(line))
            )
            + sum(_KIND_WEIGHT for asks, says in KINDS if asks.search(question) and says.search(line))
            for line in lines
        ]
        order = sorted(range(len(lines)), key=lambda i: (-weight[i], i))[:limit]
        return tuple(lines[i] for i in sorted(order))


def _counted(section: Section) -> Counter[str]:
    counted = Counter(terms(section.text))
    for term in terms(section.title):
        counted[term] += _TITLE_WEIGHT
    for lines in section.translations.values():
        counted.update(terms(" ".join(lines)))
    return counted


def _blocks(text: str) -> tuple[str, list[tuple[str, str, list[str]]]]:
    """The document's title and `(number, title, lines)` for each heading, or for each paragraph without one."""
    title = ""
    blocks: list[tuple[str, str, list[str]]] = []
    fresh = True
    for line in text.splitlines():
        heading = _HEADING.match(line) if len(line) <= _LONGEST_HEADING else None
        if heading and not title and not blocks and line.lstrip().startswith("# "):
            title = heading["title"]
        elif heading and (heading["title"] or heading["number"]):
            blocks.append((heading["number"] or "", heading["title"], []))
            fresh = False
        elif line.strip():
            if fresh and not (blocks and _TRANSLATION.match(line.strip())):
                blocks.append(("", "", []))
            blocks[-1][2].append(line.strip())
            fresh = False
        elif blocks and not blocks[-1][1]:
            fresh = True
    headed = [block for block in blocks if block[1] or block[0]]
    return title, [b for b in (headed or blocks) if b[2]]


def _section(index: int, number: str, title: str, lines: list[str]) -> Section:
    plain: list[str] = []
    translations: dict[str, tuple[str, ...]] = {}
    for line in lines:
        translated = _TRANSLATION.match(line)
        if translated:
            translations[translated["language"]] = sentences(translated["text"])
        else:
            plain.append(line.removeprefix("- ").removeprefix("* "))
    body = sentences(" ".join(plain))
    return Section(number or str(index), title or " ".join(body[:1])[:40].strip(), body, translations)


@functools.lru_cache(maxsize=1)
def _shipped() -> Handbook:
    return Handbook.parse(resources.files("ratchet.simulator").joinpath("handbook.md").read_text("utf-8"))
