"""What a judge is asked to do: the parts of its prompt, what is compared with what, and by which statements. Pure."""

from __future__ import annotations

import functools
import re

import msgspec

from ratchet.simulator.ask import Ask
from ratchet.simulator.handbook import Handbook
from ratchet.simulator.judge.aspects import Matter, aspects_in
from ratchet.simulator.sections import Sections, read_sections

__all__ = ["Brief", "is_judging", "read_brief"]

_JUDGES = re.compile(
    r"\b(?:grad(?:e|es|ing|er)|judge|judging|judgement|rat(?:e|ing)|scor(?:e|es|ing)|evaluat(?:e|es|ing|or)|assess(?:es|ing)?|"
    r"verdict|which (?:of the (?:two )?)?(?:answers?|responses?|outputs?|one)\b[^.]{0,40}\bbetter|compare (?:the )?(?:two )?(?:answers|responses|outputs)|"
    r"decide (?:whether|if|which)|check (?:whether|if|each|the))\b", re.IGNORECASE
)  # fmt: skip
_LABELLED = re.compile(
    r"<(?:answer|response|output|submission|completion|reply|conversation|transcript|first|second)|"
    r"^[ \t#*\[]*(?:the )?(?:\w+ )?(?:answer|response|output|submission|completion|reply|conversation|transcript|dialogue)(?: (?:a|1|to grade))?\]?\**[ \t]*:?\**",
    re.IGNORECASE | re.MULTILINE,
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_ITEM = re.compile(r"^\s*(?:[-*•]|\d+[.)]|\[\d+\])\s+")
_ANCHOR = re.compile(r"^\s*(?:[-*]\s*)?(?:grade |score )?(\d{1,2})\s*[:=)–-]\s*(.+)$", re.IGNORECASE)
# Sentences of a judge's prompt that say how to work, not what to look at.
_PROCESS = re.compile(
    r"\b(?:you are|your|data|instructions?|json|reason\w*|step by step|length|longer|order|position|schema|repl(?:y|ies) with|respond|"
    r"delimit\w*|tags?|marks?|scale|never follow|explain|write|output format|between)\b", re.IGNORECASE
)  # fmt: skip
_ASKED = re.compile(
    r"\b(?:whether|how (?:well|far|good)|if the|is the|does the|do the|are the|grade|rate|judge|which)\b",
    re.IGNORECASE,
)
_SPEAKER = re.compile(
    r"^[ \t#*\[]*(?P<who>user|customer|human|client|assistant|bot|agent|model|support|system)[\]*]*[ \t]*:[ \t*]*", re.IGNORECASE | re.MULTILINE
)  # fmt: skip
_USERS = {"user", "customer", "human", "client"}


class Brief(msgspec.Struct, frozen=True, kw_only=True):
    """`matters` has one entry, two where answers are compared, and one for each turn of a conversation.

    `statements` is what an answer is judged by; `criteria` the numbered list, where there is one, each judged by itself.
    """

    task: str
    after: str
    rubric: str
    matters: tuple[Matter, ...]
    compared: bool = False
    statements: tuple[str, ...] = ()
    criteria: tuple[str, ...] = ()
    by_claim: bool = False


def is_judging(ask: Ask) -> bool:
    """Whether the prompt asks to judge an answer that it holds."""
    question = _asked(ask)
    if not (_LABELLED.search(question) or _labelled(ask.system)):
        return False
    sections = _sections(ask.system, question)
    has_matter = {"answer", "first", "conversation"} & sections.parts.keys()
    return bool(has_matter) and bool(_JUDGES.search(sections.task))


def _asked(ask: Ask) -> str:
    """The user's last message; where it says that a verdict can't be read, the one that held what is to be judged."""
    said = [turn.text for turn in ask.turns if turn.role == "user"]
    if len(said) > 1 and not _LABELLED.search(said[-1]):
        return next((text for text in reversed(said[:-1]) if _LABELLED.search(text)), said[-1])
    return said[-1] if said else ""


@functools.lru_cache(maxsize=256)
def _labelled(system: str) -> bool:
    return bool(_LABELLED.search(system))


@functools.lru_cache(maxsize=64)
def _sections(system: str, question: str) -> Sections:
    return read_sections(f"{system}\n\n{question}" if system else question)


def read_brief(ask: Ask, book: Handbook) -> Brief:
    sections = _sections(ask.system, _asked(ask))
    rubric = sections.one("rubric")
    criteria = _criteria(sections)
    asked = _statements(rubric, sections.task)
    compared = "first" in sections.parts and "second" in sections.parts
    return Brief(
        task=sections.task,
        after=sections.after,
        rubric=rubric,
        matters=_matters(sections, book, compared=compared),
        compared=compared,
        statements=asked,
        criteria=criteria,
        by_claim=not criteria and any("faithful" in aspects_in(one) for one in asked),
    )


def _criteria(sections: Sections) -> tuple[str, ...]:
    lines = [
        line for part in sections.parts.get("criteria", ()) for line in part.splitlines() if line.strip()
    ]
    listed = [_ITEM.sub("", line).strip() for line in lines if _ITEM.match(line)]
    return tuple(listed or (line.strip() for line in lines))


def _statements(rubric: str, task: str) -> tuple[str, ...]:
    """What to look at: the rubric's best grade where it spells grades out, its sentences, or the task's questions."""
    lines = [line for line in rubric.splitlines() if line.strip()]
    anchors = [(int(match[1]), match[2]) for line in lines if (match := _ANCHOR.match(line))]
    if len(anchors) >= 2:
        plain = [line for line in lines if not _ANCHOR.match(line)]
        return (*_recognised(" ".join(plain)), max(anchors)[1])
    if rubric.strip():
        return _recognised(rubric) or (rubric.strip(),)
    asked = [one for one in _SENTENCE.split(task) if _ASKED.search(one)]
    found = [one.strip() for one in asked if aspects_in(one) and not _PROCESS.search(one)]
    return tuple(found or (one.strip() for one in asked if aspects_in(one)))


def _recognised(text: str) -> tuple[str, ...]:
    return tuple(one.strip() for one in _SENTENCE.split(text) if aspects_in(one))


def _matters(sections: Sections, book: Handbook, *, compared: bool) -> tuple[Matter, ...]:
    one = sections.one
    pattern = Matter(
        question=one("question") or one("conversation"),
        answer=one("answer") or one("conversation"),
        book=book,
        reference=one("reference"),
        context=one("context"),
        previous=one("previous"),
        feedback=one("feedback"),
    )

    def with_answer(question: str, answer: str) -> Matter:
        return msgspec.structs.replace(pattern, question=question, answer=answer)

    if compared:
        return tuple(with_answer(pattern.question, one(name)) for name in ("first", "second"))
    if "answer" not in sections.parts:
        turns = tuple(with_answer(asked, said) for asked, said in _turns(one("conversation")))
        if turns:
            return turns
    return (pattern,)


def _turns(conversation: str) -> list[tuple[str, str]]:
    """`(what the user said, what was answered)` for each answer in a written conversation."""
    found: list[tuple[str, str]] = []
    marks = list(_SPEAKER.finditer(conversation))
    asked = ""
    for index, mark in enumerate(marks):
        end = marks[index + 1].start() if index + 1 < len(marks) else len(conversation)
        text = conversation[mark.end() : end].strip()
        if mark["who"].lower() in _USERS:
            asked = text
        elif mark["who"].lower() != "system" and asked:
            found.append((asked, text))
    return found
