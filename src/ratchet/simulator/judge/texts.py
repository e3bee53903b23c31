"""What two texts have in common: numbers, words weighted by how rare they are, and whether one denies the other. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from ratchet.simulator.handbook import Handbook, sentences, terms
from ratchet.simulator.languages import language_of

__all__ = ["Claim", "admits", "agreement", "claims_of", "coverage", "lines_of", "numbers_of", "supported"]

_CITATION = re.compile(r"\([^()]{0,40}§[^()]{0,80}\)|§\s?\d+(?:\.\d+)*|https?://\S+|#\d+")
_NUMBER = re.compile(r"(?<![\w.,])\d+(?:[.,:]\d+)*")
_WORDS = {
    "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8",
    "nine": "9", "ten": "10", "twelve": "12", "fourteen": "14", "thirty": "30",
}  # fmt: skip
_WORD_NUMBER = re.compile(r"\b(" + "|".join(word for word in _WORDS if word != "one") + r")\b", re.IGNORECASE)
_DENIES = re.compile(
    r"\b(?:not|n[o']t|never|cannot|can[’']t|don[’']t|doesn[’']t|won[’']t|isn[’']t|aren[’']t|no longer|without|except|excluded|"
    r"nicht|kein\w*|nie|no|nunca|ne|pas|jamais)\b", re.IGNORECASE
)  # fmt: skip
_ADMITS = re.compile(
    r"\b(?:(?:do not|don[’']t|not) (?:know|certain|sure|have (?:any |that )?information)|could not find|couldn[’']t find|"
    r"does not say|doesn[’']t say|no information|(?:can|am able to) only help with|can[’']t help|not able to help|not able to answer|"
    r"weiß (?:ich )?(?:das )?(?:leider )?nicht|nicht sicher|steht (?:dazu )?nichts|kann ich (?:dabei )?(?:leider )?nicht|"
    r"no lo sé|no estoy seguro|no puedo ayudar\w*|solo puedo ayudar|ne (?:le )?sais pas|pas certain|ne peux pas vous aider|ne réponds qu)\b",
    re.IGNORECASE,
)  # fmt: skip
_SAME_SHARE, _CLOSE_SHARE = 0.5, 0.3
_MOST_LINES = 60


class Claim(msgspec.Struct, frozen=True):
    """A sentence that says something: its numbers, its words' beginnings, and whether it denies."""

    text: str
    numbers: frozenset[str]
    words: frozenset[str]
    denies: bool


def numbers_of(text: str) -> frozenset[str]:
    """The numbers that a text states, in one spelling; references to sections are no statements."""
    text = _WORD_NUMBER.sub(lambda match: _WORDS[match[1].lower()], _CITATION.sub(" ", text))
    return frozenset(_spelt(number) for number in _NUMBER.findall(text))


def _spelt(number: str) -> str:
    if ":" in number:
        return number
    if re.fullmatch(r"\d{1,3}(?:[.,]\d{3})+", number):
        number = re.sub(r"[.,]", "", number)
    number = number.replace(",", ".")
    return number.rstrip("0").rstrip(".") if "." in number else number


def lines_of(text: str) -> list[str]:
    """A text's sentences, list items each for themselves."""
    lines = [part for line in text.splitlines() for part in sentences(line.strip().lstrip("-*• "))]
    return lines[:_MOST_LINES]


def claims_of(text: str) -> list[Claim]:
    """The sentences that state something; greetings, questions and offers state nothing."""
    found = [
        Claim(line, numbers_of(line), frozenset(terms(_CITATION.sub(" ", line))), bool(_DENIES.search(line)))
        for line in lines_of(text)
        if not line.rstrip().endswith("?")
    ]
    return [claim for claim in found if claim.numbers or len(claim.words) >= 3]


def admits(text: str) -> bool:
    """Whether the text says that it does not know, or declines."""
    return bool(_ADMITS.search(text))


def coverage(wanted: frozenset[str], there: frozenset[str], book: Handbook) -> float:
    """The part of the weight of `wanted` that `there` has; rare words weigh more. 1 where nothing is wanted."""
    whole = sum(book.rarity(word) for word in wanted)
    return sum(book.rarity(word) for word in wanted & there) / whole if whole else 1.0


def supported(claim: Claim, sources: Sequence[Claim], book: Handbook, *, foreign: bool = False) -> bool:
    """Whether some sentence of the source, or two of them together, says what the claim says.

    `foreign`: the claim is in another language than the source, so that only its numbers can be looked for.
    """
    numbers = frozenset(number for source in sources for number in source.numbers)
    if foreign:
        return claim.numbers <= numbers if claim.numbers else True
    ranked = sorted(sources, key=lambda source: -_nearness(claim, source, book))[:2]
    if not ranked:
        return False
    joined = frozenset(word for source in ranked for word in source.words)
    at_hand = frozenset(number for source in ranked for number in source.numbers)
    if not claim.numbers <= at_hand:
        return False
    if len(claim.words) >= 3 and coverage(claim.words, joined, book) < _SAME_SHARE:
        return False
    return claim.denies == ranked[0].denies or not claim.numbers.isdisjoint(ranked[0].numbers)


def _nearness(claim: Claim, source: Claim, book: Handbook) -> float:
    return coverage(claim.words, source.words, book) + 0.5 * len(claim.numbers & source.numbers)


def agreement(answer: str, reference: str, question: str, book: Handbook) -> tuple[float, str]:
    """`(how far the answer says what the reference says, from 0 to 1; what was found)`.

    What the question asks for decides: of a reference of several sentences, those that share most with the question.
    """
    if admits(reference):
        return (
            (1.0, "Both say that it is not known.")
            if admits(answer)
            else (0.1, "The reference says that it is not known; the answer claims to know.")
        )
    known = claims_of(reference) or [_whole(reference)]
    said = claims_of(answer)
    if admits(answer) and not any(claim.numbers for claim in said):
        return 0.1, "The answer does not say what the reference says."
    foreign = language_of(answer) != language_of(reference)
    wanted = _asked_for(known, question, book)
    numbers = frozenset(number for claim in wanted for number in claim.numbers)
    everywhere = numbers_of(reference) | numbers_of(question)
    # A number counts as wrong where its sentence is about the reference's matter.
    words = frozenset(word for claim in known for word in claim.words) | frozenset(terms(question))
    wrong = sorted(
        number
        for claim in said
        if foreign or coverage(claim.words, words, book) >= _CLOSE_SHARE
        for number in claim.numbers - everywhere
    )
    given = frozenset(number for claim in said for number in claim.numbers)
    recall = len(numbers & given) / len(numbers) if numbers else None
    covered = (
        1.0
        if foreign
        else min(1.0, coverage(_words(wanted), _words(said) or frozenset(terms(answer)), book) / 0.6)
    )
    score = covered if recall is None else 0.75 * recall + 0.25 * covered
    if wrong:
        score -= 0.5
    elif not foreign and _denied(wanted, said, book):
        score -= 0.5
        return max(0.0, score), "The answer says the opposite of the reference."
    return max(0.0, score), _found(numbers, given, wrong)


def _found(numbers: frozenset[str], given: frozenset[str], wrong: list[str]) -> str:
    if wrong:
        return f"The answer says {wrong[0]}, which the reference does not say."
    if numbers - given:
        return f"The answer leaves out {min(numbers - given)}."
    return (
        f"The answer gives {min(numbers)}, as the reference does."
        if numbers
        else "The answer says what the reference says."
    )


def _whole(text: str) -> Claim:
    return Claim(text, numbers_of(text), frozenset(terms(text)), bool(_DENIES.search(text)))


def _words(claims: list[Claim]) -> frozenset[str]:
    return frozenset(word for claim in claims for word in claim.words)


def _asked_for(known: list[Claim], question: str, book: Handbook) -> list[Claim]:
    """The sentence that the question asks for; all of them where it tells none apart."""
    if len(known) == 1:
        return known
    best = book.best_lines([claim.text for claim in known], question, 1)
    return [claim for claim in known if claim.text in best] or known


def _denied(wanted: list[Claim], said: list[Claim], book: Handbook) -> bool:
    for claim in wanted:
        near = max(said, key=lambda one: _nearness(claim, one, book), default=None)
        if near and coverage(claim.words, near.words, book) >= _SAME_SHARE and near.denies != claim.denies:
            return True
    return False
