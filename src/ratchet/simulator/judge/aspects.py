"""What can be said of an answer, told from how a criterion is worded, and how far it holds. Pure.

Each row has the words by which a statement is recognised, the words that turn it round ("contradicts", "invents"), and
how goodness is measured: 1 is what one hopes for. A statement that no row recognises asks whether something is mentioned.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from ratchet.simulator.handbook import Handbook, Hit, terms
from ratchet.simulator.instructions import read_instructions
from ratchet.simulator.judge.texts import (
    admits,
    agreement,
    claims_of,
    coverage,
    lines_of,
    numbers_of,
    supported,
)
from ratchet.simulator.languages import language_of

__all__ = ["Finding", "Matter", "aspects_in", "correct", "measure", "relevant"]

_S = re.IGNORECASE
_COVERED_SHARE, _COVERED_SCORE = 0.34, 5.0


class Matter(msgspec.Struct, frozen=True, kw_only=True):
    """What is judged, and what it is judged by. `book` is what the judge itself knows."""

    question: str
    answer: str
    book: Handbook
    reference: str = ""
    context: str = ""
    previous: str = ""
    feedback: str = ""


class Finding(msgspec.Struct, frozen=True):
    """`value` from 0 to 1, and why."""

    value: float
    why: str


_Measure = Callable[[Matter, str], Finding]


# -- what the texts say ------------------------------------------------------------------------------------------


def known_to(matter: Matter) -> tuple[str, bool]:
    """`(what the answer should say, whether anything is known about the question)`: the reference; else the part of
    the context that is about the question; else what the judge knows itself.
    """
    if matter.reference:
        return matter.reference, True
    book = Handbook.parse(matter.context) if matter.context else matter.book
    hits = book.find(matter.question, limit=1)
    if not hits or not _about(hits[0]):
        return "", False
    section = hits[0].section
    lines = section.translations.get(language_of(matter.answer), section.sentences)
    return " ".join(lines), True


def _about(hit: Hit) -> bool:
    return hit.score >= _COVERED_SCORE or hit.share >= _COVERED_SHARE


def correct(matter: Matter, _: str = "") -> Finding:
    """Whether the answer says what is right, by the reference, the context or the judge's own knowledge."""
    should, known = known_to(matter)
    if not known:
        if admits(matter.answer):
            return Finding(1.0, "Nothing is known about this, and the answer says so.")
        return Finding(0.2, "Nothing that is known supports the answer.")
    value, why = agreement(matter.answer, should, matter.question, matter.book)
    return Finding(
        value,
        why
        if matter.reference
        else why.replace("the reference", "the handbook").replace("The reference", "The handbook"),
    )


def faithful(matter: Matter, _: str = "") -> Finding:
    """The share of the answer's claims that the context supports."""
    source = matter.context or _at_hand(matter)
    claims = claims_of(matter.answer)
    if not claims or (admits(matter.answer) and not any(claim.numbers for claim in claims)):
        return Finding(1.0, "The answer claims nothing.")
    sources = claims_of(source)
    foreign = language_of(matter.answer) != language_of(source)
    held = [supported(claim, sources, matter.book, foreign=foreign) for claim in claims]
    if all(held):
        return Finding(1.0, "Every claim is in the context.")
    first = claims[held.index(False)].text
    return Finding(sum(held) / len(held), f"The context does not say: {first[:120]}")


def _at_hand(matter: Matter) -> str:
    """Where no context is given: the reference, and what the judge knows about the question."""
    found = [hit.section.text for hit in matter.book.find(f"{matter.question} {matter.answer}", limit=2)]
    return "\n".join([matter.reference, *found])


def relevant(matter: Matter, _: str = "") -> Finding:
    """Whether the answer is about what was asked."""
    if admits(matter.answer):
        return Finding(0.3, "The answer does not say anything about what was asked.")
    asked = matter.book.find(matter.question, limit=2)
    said = matter.book.find(matter.answer, limit=1)
    if asked and _about(asked[0]) and said and said[0].index in {hit.index for hit in asked}:
        return Finding(1.0, "The answer is about what was asked.")
    share = coverage(frozenset(terms(matter.question)), frozenset(terms(matter.answer)), matter.book)
    value = min(1.0, share / 0.5)
    return Finding(
        value,
        "The answer is about what was asked." if value >= 0.5 else "The answer is about something else.",
    )


def complete(matter: Matter, statement: str) -> Finding:
    return correct(matter, statement)


_TOXIC = re.compile(
    r"\b(?:idiot\w*|stupid\w*|moron\w*|dumb\w*|shut up|hate you|loser\w*|trash|garbage person|worthless|disgusting|scum|pathetic|"
    r"damn|hell with|kill (?:you|yourself)|go to hell|fool\w*|ugly|dummkopf|idioten|blöd\w*|imbécil\w*|estúpid\w*|imbécile\w*|crétin\w*)\b",
    _S,
)


def clean(matter: Matter, _: str) -> Finding:
    found = _TOXIC.findall(matter.answer)
    if found:
        return Finding(max(0.0, 0.3 - 0.1 * len(found)), f"The answer says: {found[0]}.")
    return Finding(1.0, "The answer insults nobody.")


_FEEDBACK_SHORTER = re.compile(
    r"\b(?:too long|shorter|brief\w*|concise|wordy|rambl\w*|verbose|to the point)\b", _S
)
_FEEDBACK_LONGER = re.compile(
    r"\b(?:too short|more detail\w*|longer|elaborate|explain more|incomplete)\b", _S
)
_FEEDBACK_WRONG = re.compile(r"\b(?:wrong|incorrect|not (?:true|right|correct)|false|outdated|mistake)\b", _S)
_CITES = re.compile(r"§\s?\d|\bsection \d|\(handbook|\bsee (?:section|chapter)", _S)


def incorporated(matter: Matter, _: str) -> Finding:
    """Whether the answer does what the feedback on the previous answer asked for."""
    feedback, previous, answer = matter.feedback, matter.previous, matter.answer
    checks: list[tuple[bool, str]] = []
    if _FEEDBACK_SHORTER.search(feedback):
        checks.append((len(answer.split()) < 0.85 * len(previous.split()), "be shorter"))
    elif _FEEDBACK_LONGER.search(feedback):
        checks.append((len(answer.split()) > 1.15 * len(previous.split()), "say more"))
    if re.search(r"\bcit\w+|\bsource\b|\bsection\b", feedback, _S):
        checks.append((bool(_CITES.search(answer)), "name the source"))
    numbers, before, now = numbers_of(feedback), numbers_of(previous), numbers_of(answer)
    checks.extend((number in now, f"say {number}") for number in sorted(numbers - before))
    if _FEEDBACK_WRONG.search(feedback):
        named = sorted(numbers & before)
        checks.extend((number not in now, f"not say {number}") for number in named)
        if not numbers and before:
            checks.append((before != now, "correct the number"))
    if not checks:
        wanted = frozenset(terms(feedback)) - frozenset(terms(previous))
        share = (
            coverage(wanted, frozenset(terms(answer)), matter.book) if wanted else float(answer != previous)
        )
        checks.append((share >= 0.3 and answer.strip() != previous.strip(), "do what was said"))
    missed = [what for done, what in checks if not done]
    why = (
        f"The feedback asked to {missed[0]}; the answer does not."
        if missed
        else "The answer does what the feedback asked for."
    )
    return Finding(1 - len(missed) / len(checks), why)


# -- how it is said ----------------------------------------------------------------------------------------------


def short(matter: Matter, statement: str) -> Finding:
    told = read_instructions(statement)
    words, lines = len(matter.answer.split()), len(lines_of(matter.answer))
    if told.max_sentences is not None:
        return _fits(lines, told.max_sentences, "sentences")
    return _fits(words, told.max_words or 30, "words")


def _fits(count: int, limit: int, unit: str) -> Finding:
    over = max(0, count - limit) / max(1, limit)
    return Finding(
        max(0.0, 1 - over if not over else 0.5 - over / 2),
        f"The answer has {count} {unit}; {limit} are allowed.",
    )


_POLITE = re.compile(
    r"\b(?:please|thank\w*|happy to|glad to|sorry|welcome|dear|hello|hi|good (?:day|question)|great question|let me know|"
    r"bitte|danke|gern\w*|gracias|por favor|encantad\w*|merci|s'il vous plaît|avec plaisir|volontiers)\b|😊", _S
)  # fmt: skip
_PROMISES = re.compile(
    r"\b(?:we will refund|i promise|you will get your money back|guarantee you|we guarantee|erstatten ihnen sofort|"
    r"le devolveremos|vous remboursons)\b", _S
)  # fmt: skip


def _seen(pattern: re.Pattern[str], there: str, missing: str) -> _Measure:
    return lambda matter, _: Finding(1.0, there) if pattern.search(matter.answer) else Finding(0.0, missing)


def friendly(matter: Matter, statement: str) -> Finding:
    """Friendly words make it, insults unmake it; without either an answer is dry, which is no more than half bad."""
    if clean(matter, statement).value < 1:
        return Finding(0.0, "The answer is rude.")
    return (
        Finding(1.0, "The tone is friendly.")
        if _POLITE.search(matter.answer)
        else Finding(0.4, "The tone is dry.")
    )


def unpromised(matter: Matter, _: str) -> Finding:
    found = _PROMISES.search(matter.answer)
    return (
        Finding(0.0, f"The answer promises: {found[0]}.")
        if found
        else Finding(1.0, "The answer promises nothing.")
    )


def admitting(matter: Matter, _: str) -> Finding:
    """Says that it doesn't know where nothing is known, and only there."""
    _, known = known_to(matter)
    says = admits(matter.answer)
    if known:
        return Finding(
            0.2 if says else 1.0,
            "It is known." if not says else "The answer says it does not know, but it is known.",
        )
    return Finding(
        1.0 if says else 0.0,
        "The answer says that it does not know." if says else "The answer claims to know.",
    )


_TONGUES = {"english": "en", "german": "de", "spanish": "es", "french": "fr"}


def tongue(matter: Matter, statement: str) -> Finding:
    named = next((code for name, code in _TONGUES.items() if name in statement.lower()), "")
    same = language_of(matter.answer) == (named or language_of(matter.question))
    return Finding(float(same), "The language is right." if same else "The language is wrong.")


def mentions(matter: Matter, statement: str) -> Finding:
    """Whether what the statement names is in the answer: what it quotes, its numbers, else its rarest words."""
    answer = matter.answer.lower()
    quoted = re.findall(r"[\"“'‘]([^\"”'’\n]{2,60})[\"”'’]", statement)
    numbers = numbers_of(statement)
    if quoted or numbers:
        checks = [text.lower() in answer for text in quoted] + [one in numbers_of(answer) for one in numbers]
        value = sum(checks) / len(checks)
    else:
        wanted = frozenset(terms(_FRAME.sub(" ", statement)))
        value = min(1.0, coverage(wanted, frozenset(terms(answer)), matter.book) / 0.7) if wanted else 1.0
    return Finding(value, "It is mentioned." if value >= 0.5 else "It is not mentioned.")


_FRAME = re.compile(
    r"\b(?:answer|response|reply|output|mentions?|mentioned|states?|says?|includes?|contains?|names?|explains?|tells?|gives?|does|not|never)\b",
    _S,
)

# name, how a statement says it, how goodness is measured, whether it can be turned round
_ROWS: tuple[tuple[str, str, _Measure], ...] = (
    ("clean", r"toxic\w*|offensive|insult\w*|harass\w*|hateful|hate speech|abusive|profan\w*|\brude\b|obscen\w*|threaten\w*", clean),
    ("feedback", r"feedback|complaint", incorporated),
    ("faithful", r"faithful\w*|grounded|supported|hallucinat\w*|\binvent\w*|\bma(?:ke|kes|king|de)\b[^.]{0,30}\bup\b|unsupported|(?:from|based (?:only |solely )?on|beyond|in) the (?:context|handbook|document|source)\w*", faithful),
    ("admits", r"\badmit\w*|says? (?:so|that it (?:does not|doesn't) know)|acknowledg\w*|(?:does not|doesn't|don't) know", admitting),
    ("cites", r"\bcit(?:e|es|ed|ing|ation\w*)\b|names? the (?:\w+ )?(?:section|source)|refers? to (?:the|a) (?:\w+ )?section", _seen(_CITES, "The answer names its source.", "The answer names no source.")),
    ("short", r"\bbrief\w*|\bshort\b|concise\w*|at most \w+ (?:\w+ )?(?:words|sentences?)|(?:no|not) (?:longer|more) than|(?:under|fewer than|within|up to) \d+ words|to the point", short),
    ("unpromised", r"\bpromis\w*|guarantee\w*", unpromised),
    ("polite", r"\bpolite\w*|friendly|courteous\w*|\bwarm\w*|empath\w*|\bkind\b|professional\w* tone", friendly),
    ("tongue", r"\b(?:in|uses?) (?:english|german|spanish|french)\b|same language|language of the (?:question|user|customer)", tongue),
    ("relevant", r"relevan\w*|irrelevan\w*|on[- ]topic|address\w* (?:the|what)|answer(?:s|ed|ing)? (?:the|what|to the) (?:\w+ )?(?:question|asked|was)|helpful\w*|useful\w*", relevant),
    ("complete", r"complete\w*|every part|all parts|leaves? (?:nothing|out)|thorough\w*", complete),
    ("correct", r"correct\w*|incorrect\w*|accura\w*|inaccura\w*|consisten\w*|inconsisten\w*|contradict\w*|\bagree\w*|factual\w*|\btrue\b|\bright\b|\bwrong\b|match\w*|same facts|quality|better|helpful\w*", correct),
)  # fmt: skip
_ASPECTS = {name: (re.compile(pattern, _S), how) for name, pattern, how in _ROWS}
_TURNS = re.compile(
    r"\b(?:toxic\w*|offensive|insult\w*|harass\w*|hateful|hate speech|abusive|profan\w*|rude|obscen\w*|threaten\w*|hallucinat\w*|invent\w*|"
    r"ma(?:ke|kes|king|de)\b[^.]{0,30}\bup|unsupported|beyond|promis\w*|guarantee\w*|irrelevant|incorrect\w*|inaccurate\w*|inconsistent\w*|contradict\w*|wrong|leaves? out)\b",
    _S,
)
_NEGATES = re.compile(
    r"\b(?:not|never|no|nothing|free (?:of|from)|without|avoids?|avoiding|doesn['’]t|isn['’]t|does not|refrains?)\b",
    _S,
)
_NEVER_TURNED = frozenset({"short", "admits", "tongue", "feedback"})


def aspects_in(statement: str) -> list[str]:
    """The rows that recognise the statement, in the table's order."""
    return [name for name, (pattern, _) in _ASPECTS.items() if pattern.search(statement)]


def measure(matter: Matter, statement: str, *, turned: bool = True) -> Finding:
    """How far the statement holds of the answer; with `turned` false, how good the answer is in what it speaks of.

    A statement that speaks of several things holds as far as the weaker half of them does.
    """
    found = aspects_in(statement)
    if not found:
        finding = mentions(matter, statement)
        return Finding(1 - finding.value, finding.why) if turned and _NEGATES.search(statement) else finding
    each = [_ASPECTS[name][1](matter, statement) for name in found]
    worst = min(each, key=lambda one: one.value)
    value = 0.5 * worst.value + 0.5 * sum(one.value for one in each) / len(each)
    if turned and _NEVER_TURNED.isdisjoint(found[:1]):
        denied = bool(_NEGATES.search(statement))
        bad = bool(_TURNS.search(statement))
        if denied != bad:
            value = 1 - value
    return Finding(value, worst.why)
