"""Kept answers by what was asked: the nearest earlier question, and whether its answer may be given again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from ratchet.gateway.cache.entries import Entry
from ratchet.gateway.cache.learning import Belief, Bound, Features, JudgeErrors
from ratchet.gateway.cache.likeness import PRIORS, content_words, features_of
from ratchet.gateway.cache.neighbours import Neighbours
from ratchet.gateway.cache.tokens import Tokens, deciding_difference, deciding_tokens

__all__ = [
    "MOST_CHARACTERS",
    "Asked",
    "Choice",
    "Covers",
    "Kept",
    "Match",
    "Meanings",
    "Mind",
    "Question",
    "Route",
    "Size",
    "Vectors",
    "choose",
]

Choice = Literal["serve", "audit", "judge", "ask"]
Route = tuple[str, str]
"""Project and route."""

Covers = Callable[[str, str, int], bool]
"""Whether what somebody asked in a project, up to a moment, is to be gone."""

Vectors = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts to their unit vectors, shape (texts, dimensions)."""

MOST_CHARACTERS = 2000  # of a question: longer ones are documents, and a vector of words tells little of them
_NEAREST = 12  # questions that are looked at
_FLOOR = 0.4  # a cosine below which nothing means the same
_NONE_NEAR = 0.3  # stands for the cosine of a runner-up that is not there
_MOST_RISK = 6  # times the promised share: no single answer may be riskier, whatever the others are
_AUDITED = 0.05  # the share of answers that could be given again and are asked for anew, to see whether they were right
_HOPELESS = 0.7  # a risk above which a verdict teaches little: one in ten is asked for
_HOPELESS_SHARE = 0.1
_MOST_WORD_VECTORS = 50_000
_OVERHEAD = 3000  # bytes: a question's vector, words and tokens


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A question, read. `who` is the one user who asks, "" where nobody knows; `place` is everything that must be equal
    beside it."""

    text: str
    who: str
    route: Route
    place: str
    vector: NDArray[np.float32]
    words: tuple[str, ...]
    tokens: Tokens


class Kept(msgspec.Struct, gc=False, kw_only=True):
    """An answer, and the questions that it is known to answer."""

    number: int
    route: Route
    place: str
    text: str  # the first of its questions
    entry: Entry
    answer: str  # what a person reads of it
    owner: str
    personal: bool  # never for anybody but its owner
    saved: bool  # its words may be written to disk
    trusted: bool = False  # a judge found it right when somebody other than its owner asked
    questions: list[int] = []


class Question(msgspec.Struct, frozen=True, gc=False):
    """What a kept answer is known to answer. `who` asked it, at `made` or a moment before."""

    kept: int
    text: str
    words: tuple[str, ...]
    tokens: Tokens
    who: str
    made: int


class Match(msgspec.Struct, frozen=True, gc=False):
    """The kept answer that may fit a question. `risk` is 1 - P(it is right); `good`: it may be given now."""

    kept: Kept
    cosine: float
    features: Features
    risk: float
    good: bool
    question: Question  # the nearest


def choose(match: Match | None, chance: Callable[[], float]) -> Choice:
    """What to do: `serve` the kept answer; or ask the model, and then have the kept answer judged by the fresh one
    (`judge`; `audit` where it would have been served) or not (`ask`). `chance` gives numbers from 0 to 1."""
    if match is None:
        return "ask"
    if match.good:
        return "audit" if chance() < _AUDITED else "serve"
    return "ask" if match.risk > _HOPELESS and chance() >= _HOPELESS_SHARE else "judge"


class Size(msgspec.Struct, gc=False):
    """What is kept of one route."""

    answers: int = 0
    questions: int = 0
    bytes: int = 0


class Mind:
    """What is learned of one route's answers."""

    def __init__(self, most: float, errors: JudgeErrors) -> None:
        """`most` is the share of wrong answers that is promised."""
        self.most, self.errors = most, errors
        self.belief = Belief(PRIORS, errors)
        self.bound = Bound(most, errors=errors)

    def learn(self, features: Features, risk: float, *, right: bool) -> None:
        """Take in a verdict on an answer that was believed to have that risk."""
        self.bound.note(risk, right=right)
        self.belief.learn(features, right=right)


class Meanings:
    """Of all routes of a gateway process. Belongs to one event loop."""

    def __init__(self, vectors: Vectors, *, limit: int) -> None:
        """`limit` is in bytes; the longest unused answers go first."""
        self._vectors = vectors
        self._words: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._limit = limit
        self._dimensions = vectors(["word"]).shape[1]
        self._places: dict[str, Neighbours] = {}
        self._questions: dict[int, Question] = {}
        self.kept: OrderedDict[int, Kept] = OrderedDict()
        self._next_question = self._next_kept = 1
        self.sizes: dict[Route, Size] = {}
        self.size = 0

    def read(self, text: str, *, who: str, route: Route, place: str) -> Asked:
        vector = self._vectors([text])[0]
        return Asked(text, who, route, place, vector, content_words(text), deciding_tokens(text))

    def match(self, asked: Asked, mind: Mind, *, now: int) -> Match | None:
        """The answer of the nearest question that `asked` does not differ from in a deciding word."""
        there = self._places.get(asked.place)
        if there is None:
            return None
        chosen: tuple[Question, Kept, float] | None = None
        runner_up = _NONE_NEAR
        for number, cosine in there.nearest(asked.vector, _NEAREST):
            question = self._questions.get(number)
            kept = self.kept.get(question.kept) if question is not None else None
            if question is None or kept is None or cosine < _FLOOR:
                continue
            if kept.entry.expires <= now or (kept.personal and kept.owner != asked.who):
                continue
            if deciding_difference(asked.tokens, question.tokens):
                continue
            if chosen is None:
                chosen = question, kept, cosine
            elif kept is not chosen[1]:
                runner_up = cosine
                break
        if chosen is None:
            return None
        question, kept, cosine = chosen
        features = features_of(
            asked.words,
            question.words,
            entry=kept.number,
            cosine=cosine,
            runner_up=runner_up,
            vectors=self._wording,
        )
        risk = 1 - mind.belief.right(features)
        own = bool(asked.who) and kept.owner == asked.who
        good = risk <= min(mind.bound.risk, _MOST_RISK * mind.most) and (kept.trusted or own)
        return Match(kept, cosine, features, risk, good, question)

    def keep(
        self, asked: Asked, entry: Entry, answer: str, *, personal: bool, saved: bool = True, number: int = 0
    ) -> Kept:
        """An answer of its own, under a new number where none is given."""
        kept = Kept(
            number=number or self._next_kept, route=asked.route, place=asked.place, text=asked.text, entry=entry,
            answer=answer, owner=asked.who, personal=personal, saved=saved, questions=[],
        )  # fmt: skip
        self._next_kept = max(self._next_kept, kept.number) + 1
        self.kept[kept.number] = kept
        self._grow(kept, answers=1, size=len(entry.content))
        self.also(kept, asked, made=entry.made)
        while self.size > self._limit and self.kept:
            self.drop(next(iter(self.kept)))
        return kept

    def also(self, kept: Kept, asked: Asked, *, made: int) -> None:
        """The answer is right for this question too, which was asked then."""
        if kept.number not in self.kept:
            return
        number = self._next_question
        self._next_question += 1
        there = self._places.setdefault(kept.place, Neighbours(self._dimensions))
        there.add(number, asked.vector)
        self._questions[number] = Question(
            kept.number, asked.text, asked.words, asked.tokens, asked.who, made
        )
        kept.questions.append(number)
        self._grow(kept, questions=1, size=_OVERHEAD)

    def judged(
        self,
        match: Match,
        asked: Asked,
        entry: Entry,
        answer: str,
        *,
        right: bool,
        personal: bool,
        saved: bool = True,
    ) -> Kept:
        """What a verdict changes: where the kept answer was right, it is so for this question from now on, and trusted
        where another user asked; where it was wrong, the fresh answer is kept beside it. Returns the right one."""
        kept = match.kept
        if not right or kept.number not in self.kept:
            return self.keep(asked, entry, answer, personal=personal, saved=saved)
        if not personal and (asked.who != kept.owner or not asked.who):
            kept.trusted = True
        self.also(kept, asked, made=entry.made)
        return kept

    def questions(self, kept: Kept) -> list[Question]:
        """Those that it answers, beginning with the one it was made for."""
        return [self._questions[number] for number in kept.questions]

    def used(self, kept: Kept) -> None:
        if kept.number in self.kept:
            self.kept.move_to_end(kept.number)

    def drop(self, number: int) -> None:
        kept = self.kept.pop(number, None)
        if kept is None:
            return
        there = self._places[kept.place]
        for question in kept.questions:
            there.remove(question)
            del self._questions[question]
        count = len(kept.questions)
        self._grow(kept, answers=-1, questions=-count, size=-len(kept.entry.content) - _OVERHEAD * count)
        if not len(there):
            del self._places[kept.place]

    def forget(self, covers: Covers) -> None:
        """Drop the answers that were made for somebody, and what they asked of others' answers."""
        for kept in list(self.kept.values()):
            project = kept.route[0]
            if covers(project, kept.owner, kept.entry.made):
                self.drop(kept.number)
                continue
            for number in list(kept.questions):
                question = self._questions[number]
                if covers(project, question.who, question.made):
                    self._places[kept.place].remove(number)
                    del self._questions[number]
                    kept.questions.remove(number)
                    self._grow(kept, questions=-1, size=-_OVERHEAD)

    def sweep(self, now: int) -> None:
        """Drop what has expired."""
        for number in [number for number, kept in self.kept.items() if kept.entry.expires <= now]:
            self.drop(number)

    def _grow(self, kept: Kept, *, size: int, answers: int = 0, questions: int = 0) -> None:
        here = self.sizes.setdefault(kept.route, Size())
        here.answers += answers
        here.questions += questions
        here.bytes += size
        self.size += size

    def _wording(self, words: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of words, remembered: the same ones come again and again."""
        known = self._words
        new = [word for word in words if word not in known]
        if new:
            known.update(zip(new, self._vectors(new), strict=True))
            while len(known) > _MOST_WORD_VECTORS:
                known.popitem(last=False)
        return np.stack([known[word] if word in known else self._vectors([word])[0] for word in words])
