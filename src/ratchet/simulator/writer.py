"""The writer of cases: questions with answers, from a document's sentences or from cases that are there already.

It is told by a prompt that asks to write cases (or questions and answers) and holds a document or cases in a labelled
part. As real writers do, it repeats itself at times, says what the document doesn't, and leaves something out: at the
rates in `SLIPS`, which hold at temperature 1.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any, cast

import msgspec

from ratchet.simulator.ask import Ask, Call
from ratchet.simulator.dice import Dice
from ratchet.simulator.draft import Draft, Role
from ratchet.simulator.handbook import Handbook
from ratchet.simulator.instances import instance_of
from ratchet.simulator.instructions import read_instructions
from ratchet.simulator.knowing import NOTHING, Knowing
from ratchet.simulator.material import Material, Mentions
from ratchet.simulator.mistakes import heat, mix_up_number
from ratchet.simulator.models import ModelClass
from ratchet.simulator.question import topic_of
from ratchet.simulator.sections import Sections, read_sections
from ratchet.simulator.wording import words_of

__all__ = ["SLIPS", "WRITER", "Slips"]


class Slips(msgspec.Struct, frozen=True, kw_only=True):
    """Probabilities for one case."""

    duplicate: float  # asks again what an earlier one asked, in other words
    ungrounded: float  # the answer says what the document does not say
    malformed: float  # without an answer


SLIPS: dict[str, Slips] = {
    "small": Slips(duplicate=0.15, ungrounded=0.12, malformed=0.04),
    "medium": Slips(duplicate=0.10, ungrounded=0.07, malformed=0.02),
    "large": Slips(duplicate=0.05, ungrounded=0.04, malformed=0.01),
    "reasoning": Slips(duplicate=0.03, ungrounded=0.02, malformed=0.005),
}

_S = re.IGNORECASE
_WRITES = re.compile(
    r"\b(?:write|generate|create|come up with|produce|propose|make up|invent|draft)\b[^.\n]{0,80}\b(?:test[- ]cases?|cases|questions?|"
    r"question[- ]?(?:and[- ]|/)?answer|q\s?&\s?a|qa[- ]pairs?)\b", _S
)  # fmt: skip
_COUNTS = {
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "twenty": 20,
}
_COUNT = re.compile(
    r"\b(\d{1,3}|"
    + "|".join(_COUNTS)
    + r")\s+(?:\w+[ -]){0,4}(?:cases|questions|pairs|q&a|items|examples)\b",
    _S,
)
_UNANSWERABLE = re.compile(
    r"\bquestions?\b[^.\n]{0,60}(?:not|n['’]t)\s+(?:be\s+)?(?:answer\w*|cover\w*|say)|\bunanswerable\b", _S
)
_USUAL, _MOST = 5, 200
_LIST_NAMES = frozenset("cases case items questions pairs examples qa results data tests entries".split())  # noqa: SIM905 - as in wording.py
_ASKED = frozenset({"question", "input", "prompt", "query", "user", "q", "message"})
_ANSWERED = frozenset(
    {"answer", "reference", "expected", "output", "a", "ideal", "response", "completion", "target"}
)
_WHERE = frozenset({"section", "source", "title", "topic", "category", "heading"})
_QUOTED = frozenset({"evidence", "quote", "passage", "sentence", "context", "support", "excerpt"})
_PAIR = re.compile(
    r"^\s*(?:q(?:uestion)?|input|user)\s*:\s*(?P<q>.+?)\s*\n\s*(?:a(?:nswer)?|reference|expected|output|assistant)\s*:\s*(?P<a>.+?)\s*$",
    _S | re.MULTILINE,
)

# A sentence of a document, and how people ask for what it says; {0} is the subject, in the customer's words.
_QUESTIONS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(pattern, _S), asks)
    for pattern, asks in (
        (r"^(?P<s>.+?) (?:takes?|lasts?) (?P<r>.*\b(?:day|hour|week|minute|month|year)s?\b.*)$", ("How long does {s} take?", "How much time should I plan for {s}?")),
        (r"^(?P<s>(?:(?! and ).){2,60}?) costs? (?P<r>.+)$", ("How much does {s} cost?", "What is the price of {s}?", "What do I pay for {s}?")),
        (r"^If (?P<s>.+?), (?P<r>.+)$", ("What happens if {s}?", "What if {s}?")),
        (r"^You (?:can|may) (?P<s>.+?)(?P<r> (?:within|for|until|up to|by) .+)?$", ("Can I {s}?", "Am I able to {s}?", "How can I {s}?")),
        (r"^We (?:can |will )?(?P<s>(?!do not|don't|are|have)\w+ .+)$", ("Do you {s}?",)),
        (r"^(?P<s>[A-Z].{3,60}?) (?:is|are) (?P<r>.+)$", ("What should I know about {s}?", "Tell me about {s}.")),
    )
)  # fmt: skip
_GENERAL = (
    "What are the rules on {t}?",
    "Can you tell me about {t}?",
    "What does it say about {t}?",
    "How is {t} handled?",
)
_OUTSIDE = (
    "Do you offer a discount on {t} for students?",
    "Is there an app for {t}?",
    "Who invented {t}?",
    "Can my dog help with {t}?",
)
_FRAMES = (
    "{q}",
    "{q}",
    "{q}",
    "Hi, {l}",
    "Quick question: {l}",
    "{q} Thanks!",
    "Hello! {q}",
    "I'd like to know: {l}",
    "{b}",
)
_INVENTED = ("Yes, within {n} working days.", "There is a fee of {n} euros.", "Yes, for up to {n} people.")
_TO_CUSTOMER = {
    "your": "my",
    "you": "I",
    "yours": "mine",
    "yourself": "myself",
    "us": "you",
    "our": "your",
    "we": "you",
}


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """One case."""

    question: str
    answer: str
    title: str = ""
    sentence: str = ""

    def value(self, name: str, schema: dict[str, Any]) -> Any:
        del schema
        words = words_of(name)
        for names, text in (
            (_ASKED, self.question),
            (_ANSWERED, self.answer),
            (_WHERE, self.title),
            (_QUOTED, self.sentence),
        ):
            if words & names:
                return text
        return NOTHING

    def items(self, name: str, schema: dict[str, Any]) -> Sequence[Knowing] | None:
        del name, schema
        return None


class _All(msgspec.Struct, frozen=True):
    """The whole list, whatever it is called."""

    cases: tuple[Written, ...]

    def value(self, name: str, schema: dict[str, Any]) -> Any:
        del name, schema
        return NOTHING

    def items(self, name: str, schema: dict[str, Any]) -> Sequence[Knowing] | None:
        inner = schema.get("items")
        of_objects = isinstance(inner, dict) and ("properties" in inner or "$ref" in inner)
        return self.cases if not name or words_of(name) & _LIST_NAMES or of_objects else None


def _recognises(ask: Ask) -> bool:
    if not (_WRITES.search(ask.question) or _written_in(ask.system)):
        return False
    sections = _sections(ask)
    held = len(sections.one("context")) >= 40 or bool(sections.one("examples").strip())
    return held and bool(_WRITES.search(sections.task))


@functools.lru_cache(maxsize=256)
def _written_in(system: str) -> bool:
    """An app's system prompt is the same in most of its requests."""
    return bool(_WRITES.search(system))


def _sections(ask: Ask) -> Sections:
    return read_sections(f"{ask.system}\n\n{ask.question}" if ask.system else ask.question)


def _reply(ask: Ask, dice: Dice, book: Handbook, kind: ModelClass) -> Draft:
    sections = _sections(ask)
    count = _count(sections.task)
    slips = SLIPS[kind.name]
    document = "\n\n".join(sections.parts.get("context", ()))
    facts = _facts(Handbook.parse(document), dice) if document.strip() else []
    existing = _existing("\n".join(sections.parts.get("examples", ())))
    pen = _Pen(dice, slips, heat(ask.temperature), book if not facts else Handbook.parse(document))
    if facts:
        cases = pen.from_facts(facts, count, outside=bool(_UNANSWERABLE.search(sections.task)))
    else:
        cases = pen.from_cases(existing, count)
    return _formed(ask, dice, kind, sections.task, cases)


def _count(task: str) -> int:
    said = _COUNT.search(task)
    count = _COUNTS.get(said[1].lower()) or int(said[1]) if said else _USUAL
    return max(1, min(_MOST, count))


# -- what the cases are written from -----------------------------------------------------------------------------


class _Fact(msgspec.Struct, frozen=True):
    title: str
    sentence: str
    before: str  # the sentence before it, which says what "it" is


def _facts(book: Handbook, dice: Dice) -> list[_Fact]:
    """The document's sentences, in an order of chance."""
    found: list[_Fact] = []
    for section in book.sections:
        before = ""
        for sentence in section.sentences:
            if len(sentence.split()) >= 4:
                found.append(_Fact(section.title, sentence.strip(), before))
            before = sentence.strip()
    return sorted(found, key=lambda fact: dice.number(f"order {fact.title} {fact.sentence}"))


def _existing(text: str) -> list[tuple[str, str]]:
    """`(question, answer)` of cases given as JSON, JSON Lines or `Q:`/`A:` lines."""
    found: list[tuple[str, str]] = []
    decoded: list[Any] = []
    try:
        whole: Any = msgspec.json.decode(text)
        decoded = cast("list[Any]", whole) if isinstance(whole, list) else [whole]
    except msgspec.DecodeError:
        for line in text.splitlines():
            try:
                decoded.append(msgspec.json.decode(line.strip().strip(",")))
            except msgspec.DecodeError:
                continue
    for item in decoded:
        if isinstance(item, dict):
            fields = cast("dict[str, Any]", item)
            question = next((str(value) for key, value in fields.items() if words_of(key) & _ASKED), "")
            answer = next(
                (
                    str(value)
                    for key, value in fields.items()
                    if words_of(key) & _ANSWERED and value is not None
                ),
                "",
            )
            if question:
                found.append((question, answer))
    found.extend((match["q"], match["a"]) for match in _PAIR.finditer(text))
    if not found:
        lines = [re.sub(r"^\s*(?:[-*•]|\d+[.)])\s*", "", line).strip() for line in text.splitlines()]
        found = [(line, "") for line in lines if len(line.split()) >= 3]
    return found


# -- writing -----------------------------------------------------------------------------------------------------


class _Pen:
    def __init__(self, dice: Dice, slips: Slips, heat: float, book: Handbook) -> None:
        self.dice, self.slips, self.heat, self.book = dice, slips, heat, book

    def slip(self, name: str, rate: float) -> bool:
        return self.dice.chance(name, rate * self.heat)

    def from_facts(self, facts: list[_Fact], count: int, *, outside: bool) -> tuple[Written, ...]:
        made: list[Written] = []
        position = 0
        for index in range(count):
            if made and self.slip(f"duplicate {index}", self.slips.duplicate):
                made.append(self._again(self.dice.pick(f"which {index}", made), index))
                continue
            fact = facts[position % len(facts)]
            lap = position // len(facts)
            position += 1
            if outside and index % 5 == 4:
                made.append(self._outside(fact, index))
            else:
                made.append(self._slipped(self._asked(fact, index, lap), index))
        return tuple(made)

    def from_cases(self, existing: list[tuple[str, str]], count: int) -> tuple[Written, ...]:
        """The same matters in other words: what one gets who asks for more of the same."""
        made: list[Written] = []
        for index in range(count):
            if made and self.slip(f"duplicate {index}", self.slips.duplicate):
                made.append(self._again(self.dice.pick(f"which {index}", made), index))
                continue
            question, answer = existing[index % len(existing)]
            plain = question.strip().rstrip("?!. ")
            asked = self.dice.pick(
                f"reworded {index}",
                (
                    "Could you tell me: {l}?",
                    "I have a question. {q}?",
                    "{q}, please?",
                    "My friend asks: {l}?",
                ),
            )
            text = asked.format(q=plain, l=_lowered(plain))
            made.append(self._slipped(Written(question=text, answer=answer, sentence=answer), index))
        return tuple(made)

    def _asked(self, fact: _Fact, index: int, lap: int) -> Written:
        title = self._title(fact)
        plain = fact.sentence.rstrip(".!")
        question = self.dice.pick(f"general {index}", _GENERAL).format(t=title)
        for pattern, asks in _QUESTIONS if lap == 0 else ():
            match = pattern.match(plain)
            if match:
                subject = _customers(match["s"])
                subject = title if subject.lower() in {"it", "they", "this", "that", "these"} else subject
                question = self.dice.pick(f"asked {index}", asks).format(s=subject)
                break
        pronoun = re.match(r"(?:It|They|This|That|Then|These|After that)\b", fact.sentence)
        answer = f"{fact.before} {fact.sentence}" if pronoun and fact.before else fact.sentence
        return Written(
            question=self._framed(question, index), answer=answer, title=fact.title, sentence=fact.sentence
        )

    def _title(self, fact: _Fact) -> str:
        """What the fact is about, in a few words."""
        title = fact.title.rstrip(".")
        return _lowered(title) if 0 < len(title.split()) <= 5 else topic_of(fact.sentence, self.book).lower()

    def _framed(self, question: str, index: int) -> str:
        bare = question.rstrip("?.").lower()
        return self.dice.pick(f"frame {index}", _FRAMES).format(q=question, l=_lowered(question), b=bare)

    def _outside(self, fact: _Fact, index: int) -> Written:
        question = self.dice.pick(f"outside {index}", _OUTSIDE).format(
            t=_lowered(fact.title.rstrip(".")) or "this"
        )
        return Written(question=question, answer="The document does not say.", title=fact.title)

    def _again(self, earlier: Written, index: int) -> Written:
        core = re.sub(
            r"^(?:Hi, |Quick question: |Hello! |I'd like to know: )|(?: Thanks!)$", "", earlier.question
        )
        return msgspec.structs.replace(earlier, question=self._framed(core[:1].upper() + core[1:], index))

    def _slipped(self, case: Written, index: int) -> Written:
        if self.slip(f"malformed {index}", self.slips.malformed):
            return msgspec.structs.replace(case, answer="")
        if self.slip(f"ungrounded {index}", self.slips.ungrounded):
            own = self.dice.child(f"ungrounded {index}")
            mixed = mix_up_number(case.answer, self.book, own)
            if mixed == case.answer:
                mixed = own.pick("invented", _INVENTED).format(
                    n=own.pick("number", ("2", "3", "6", "8", "11", "25"))
                )
            return msgspec.structs.replace(case, answer=mixed)
        return case


def _lowered(text: str) -> str:
    """With a small first letter, unless the word is a name or an abbreviation."""
    first = text.split(maxsplit=1)[0] if text.split() else ""
    return text if first in {"I", "I'd"} or first[1:] != first[1:].lower() else text[:1].lower() + text[1:]


def _customers(text: str) -> str:
    """The handbook's words as a customer says them: "your order" is "my order"."""
    return _lowered(
        re.sub(
            r"\b(?:" + "|".join(_TO_CUSTOMER) + r")\b",
            lambda match: _TO_CUSTOMER[match[0].lower()],
            text,
            flags=_S,
        )
    )


# -- its form ----------------------------------------------------------------------------------------------------


def _formed(ask: Ask, dice: Dice, kind: ModelClass, task: str, cases: tuple[Written, ...]) -> Draft:
    whole = _All(cases)
    material = Material(
        text=cases[0].answer, body=cases[0].answer, question=cases[0].question, kind="answer", language="en", fields={}, mentions=Mentions()
    )  # fmt: skip
    tool = next((tool for tool in ask.tools if tool.name == ask.named_tool), None)
    if tool is None and ask.tools and ask.tool_choice == "required":
        tool = ask.tools[0]
    if tool is not None:
        value, flaw = instance_of(tool.parameters or {"type": "object"}, material, dice, knowing=whole)
        arguments = msgspec.json.encode(value if isinstance(value, dict) else {}).decode()
        return Draft(calls=(Call("call_" + dice.letters("id", 24), tool.name, arguments),), flaw=flaw)
    if ask.format == "json_schema":
        value, flaw = instance_of(ask.schema, material, dice, knowing=whole)
        return Draft(text=msgspec.json.encode(value).decode(), flaw=flaw)
    told = read_instructions(task)
    if ask.format != "json_object" and not told.json:
        return Draft(text="\n\n".join(f"Q: {case.question}\nA: {case.answer}" for case in cases))
    return Draft(text=_json(ask, dice, kind, told.json_keys, cases))


def _json(ask: Ask, dice: Dice, kind: ModelClass, keys: tuple[str, ...], cases: tuple[Written, ...]) -> str:
    """JSON that only words asked for: with the keys that the prompt names, at times with words around it."""
    names = [key for key in keys if words_of(key) & (_ASKED | _ANSWERED | _WHERE | _QUOTED)] or [
        "question",
        "answer",
    ]
    items = [
        {name: case.value(name, {}) for name in names if case.answer or not words_of(name) & _ANSWERED}
        for case in cases
    ]
    outer = next((key for key in keys if words_of(key) & _LIST_NAMES), "cases")
    text = msgspec.json.encode(
        {outer: items} if ask.format == "json_object" or outer in keys else items
    ).decode()
    if ask.format != "json_object" and dice.chance("format", kind.breaks_format):
        return f"Here are the cases:\n```json\n{text}\n```"
    return text


WRITER = Role("writer of cases", _recognises, _reply)
