"""The role: reads what is to be judged, compares the texts, and says what it found in the form that was asked for."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ratchet.simulator.ask import Ask, Call
from ratchet.simulator.dice import Dice
from ratchet.simulator.draft import Draft, Role
from ratchet.simulator.handbook import Handbook
from ratchet.simulator.instances import instance_of
from ratchet.simulator.instructions import read_instructions
from ratchet.simulator.judge.aspects import Finding, Matter, correct, measure, relevant
from ratchet.simulator.judge.brief import Brief, is_judging, read_brief
from ratchet.simulator.judge.skill import Bench
from ratchet.simulator.judge.texts import admits, claims_of, supported
from ratchet.simulator.judge.verdicts import Judged, in_words
from ratchet.simulator.languages import language_of
from ratchet.simulator.material import Material, Mentions
from ratchet.simulator.models import ModelClass
from ratchet.simulator.schemas import Schema
from ratchet.simulator.wording import words_of

__all__ = ["JUDGE"]

_NEAR = 0.08  # answers whose goodness differs by less are equally good
# An order to the judge, as it may stand in what is to be judged.
_ORDER = re.compile(
    r"\b(?:ignore|disregard|forget)\b[^.]{0,40}\b(?:instructions?|rubric|criteria|above|prompt|rules)\b|"
    r"\b(?:give|assign|award|rate|grade|score|mark)\b[^.]{0,50}\b(?:highest|full marks|maximum|top (?:grade|score)|perfect|[a-z ]{0,12}(?:score|grade|rating) (?:of )?(?:5|10)|(?:a|an) (?:5|10)|5/5|10/10)\b|"
    r"\b(?:the (?:grade|score|verdict) (?:is|must be|should be))\b", re.IGNORECASE
)  # fmt: skip
_OBEYS_PROMPT = 0.9  # an order outside the quoted texts counts like the prompt's own
_TOLD_RESIST = 0.12  # what remains of gullibility where the prompt says that the texts are data
_DATA = re.compile(
    r"\b(?:is|are|as) (?:only |just |purely )?data\b|\b(?:never|not|don'?t) (?:follow|obey|act on)\b|\bnot instructions\b",
    re.IGNORECASE,
)


def _reply(ask: Ask, dice: Dice, book: Handbook, kind: ModelClass) -> Draft:
    brief = read_brief(ask, book)
    bench = Bench(kind, dice, temperature=ask.temperature, task=brief.task, rubric=brief.rubric)
    judged = _compared(brief, bench) if brief.compared else _graded(brief, bench)
    judged = _obeying(brief, bench, judged)
    return _formed(ask, dice, kind, brief, judged)


# -- the judgement -----------------------------------------------------------------------------------------------


def _goodness(brief: Brief, matter: Matter) -> Finding:
    """How good the answer is in what the rubric or the task speaks of; else by facts and relevance."""
    if brief.statements:
        each = [measure(matter, statement, turned=False) for statement in brief.statements]
    else:
        each = [correct(matter), correct(matter), relevant(matter)]
    worst = min(each, key=lambda one: one.value)
    return Finding(0.5 * worst.value + 0.5 * sum(one.value for one in each) / len(each), worst.why)


def _graded(brief: Brief, bench: Bench) -> Judged:
    found = [_goodness(brief, matter) for matter in brief.matters]
    worst = min(found, key=lambda one: one.value)
    good = sum(one.value for one in found) / len(found)
    last = brief.matters[-1]
    holds = (
        measure(last, brief.statements[0]).value if len(brief.statements) == 1 and len(found) == 1 else good
    )
    whole = Judged(
        bench=bench,
        task=brief.task,
        good=good,
        holds=holds,
        reasoning=worst.why,
        words=len(last.answer.split()),
    )
    parts = _criteria(brief, whole) if brief.criteria else _claims(brief, whole) if brief.by_claim else ()
    if brief.criteria:
        good = sum(part.holds for part in parts) / len(parts)
        whole = msgspec.structs.replace(whole, good=good, holds=good)
    return msgspec.structs.replace(whole, parts=parts, listed=bool(brief.criteria) or brief.by_claim)


def _own(matter: Matter, bench: Bench) -> bool:
    """Whether the answer is in the manner of the judge's own family."""
    return bench.kind.family.in_manner(matter.answer)


def _criteria(brief: Brief, whole: Judged) -> tuple[Judged, ...]:
    found: list[Judged] = []
    for index, text in enumerate(brief.criteria):
        each = [measure(matter, text) for matter in brief.matters]
        worst = min(each, key=lambda one: one.value)
        found.append(
            msgspec.structs.replace(
                whole, good=worst.value, holds=worst.value, reasoning=worst.why, text=text, index=index
            )
        )
    return tuple(found)


def _claims(brief: Brief, whole: Judged) -> tuple[Judged, ...]:
    """One for each claim of the answer: is it in the context?"""
    matter = brief.matters[-1]
    source = matter.context or matter.reference
    sources = claims_of(source)
    foreign = language_of(matter.answer) != language_of(source)
    found: list[Judged] = []
    for index, claim in enumerate(claims_of(matter.answer)):
        if admits(claim.text) and not claim.numbers:
            continue
        held = float(supported(claim, sources, matter.book, foreign=foreign))
        why = "The context says so." if held else "The context does not say that."
        found.append(
            msgspec.structs.replace(whole, good=held, holds=held, reasoning=why, text=claim.text, index=index)
        )
    return tuple(found)


def _compared(brief: Brief, bench: Bench) -> Judged:
    first, second = (_goodness(brief, matter) for matter in brief.matters)
    gap = first.value - second.value
    true = "tie" if abs(gap) < _NEAR else "first" if gap > 0 else "second"
    words = tuple(len(matter.answer.split()) for matter in brief.matters)
    preferred = bench.choice(
        true, (words[0], words[1]), (_own(brief.matters[0], bench), _own(brief.matters[1], bench))
    )
    why = {
        "first": f"The first answer is better. {second.why}",
        "second": f"The second answer is better. {first.why}",
        "tie": "Both answers are equally good.",
    }[preferred]
    if preferred != true:
        why = {"first": "The first answer is better.", "second": "The second answer is better."}.get(
            preferred, "Both answers are equally good."
        )
    return Judged(
        bench=bench, task=brief.task, good=first.value, holds=first.value, reasoning=why, preferred=preferred
    )


def _obeying(brief: Brief, bench: Bench, judged: Judged) -> Judged:
    """What an order in the texts makes of the judgement: one that stands outside of them is the prompt's own."""
    texts = [matter.answer for matter in brief.matters]
    commanding = [bool(_ORDER.search(text)) for text in texts]
    if _ORDER.search(brief.after) and bench.dice.chance("order in the prompt", _OBEYS_PROMPT):
        return msgspec.structs.replace(judged, ordered=True, reasoning="As told.")
    rate = bench.kind.gullible * (_TOLD_RESIST if _DATA.search(brief.task) else 1.0)
    if not any(commanding) or not bench.dice.chance("order in an answer", rate):
        return judged
    if judged.preferred:
        side = "first" if commanding[0] else "second"
        return msgspec.structs.replace(judged, preferred=side, reasoning="As told.")
    parts = tuple(msgspec.structs.replace(part, ordered=True) for part in judged.parts)
    return msgspec.structs.replace(judged, ordered=True, parts=parts, reasoning="As told.")


# -- its form ----------------------------------------------------------------------------------------------------


def _formed(ask: Ask, dice: Dice, kind: ModelClass, brief: Brief, judged: Judged) -> Draft:
    tool = next((tool for tool in ask.tools if tool.name == ask.named_tool), None)
    if tool is None and ask.tools and ask.tool_choice == "required":
        tool = ask.tools[0]
    if tool is not None:
        value, flaw = _instance(tool.parameters or {"type": "object"}, brief, judged, dice)
        arguments = msgspec.json.encode(value if isinstance(value, dict) else {}).decode()
        return Draft(calls=(Call("call_" + dice.letters("id", 24), tool.name, arguments),), flaw=flaw)
    if ask.format == "json_schema":
        value, flaw = _instance(ask.schema, brief, judged, dice)
        return Draft(text=msgspec.json.encode(value).decode(), flaw=flaw)
    told = read_instructions(brief.task)
    if ask.format == "json_object" or told.json:
        value, _ = _instance(_guessed(told.json_keys, brief), brief, judged, dice)
        text = msgspec.json.encode(value).decode()
        if ask.format != "json_object" and dice.chance("format", kind.breaks_format):
            text = f"Here is my judgement:\n```json\n{text}\n```"
        return Draft(text=text)
    return Draft(text=in_words(judged, brief.task, dice))


def _instance(schema: Schema, brief: Brief, judged: Judged, dice: Dice) -> tuple[Any, str]:
    material = Material(
        text=judged.reasoning,
        body=judged.reasoning,
        question=brief.matters[-1].question,
        kind="answer",
        language="en",
        fields={},
        mentions=Mentions(),
    )
    return instance_of(schema, material, dice, knowing=judged)


def _guessed(keys: tuple[str, ...], brief: Brief) -> dict[str, Any]:
    """A schema for JSON that only words asked for: the keys that the prompt names, or the usual ones."""
    names = [key for key in keys if key.lower() != "json"]
    if not names:
        names = ["reasoning", "verdict" if brief.compared else "grade"]
    return {
        "type": "object",
        "properties": {name: _guess(words_of(name), compared=brief.compared) for name in names},
        "required": names,
    }


def _guess(words: frozenset[str], *, compared: bool) -> dict[str, Any]:
    if words & {"grade", "score", "rating", "points", "stars"}:
        return {"type": "integer"}
    if words & {"winner", "better", "preferred", "choice"} or (compared and words & {"verdict", "label"}):
        return {"enum": ["A", "B", "tie"]}
    if words & {"verdict", "passed", "pass", "correct", "faithful", "relevant", "toxic", "met", "consistent"}:
        return {"type": "boolean"}
    return {"type": "string"}


JUDGE = Role("judge", is_judging, _reply)
