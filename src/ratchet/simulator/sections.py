"""The labelled parts of a prompt: `<answer>…</answer>`, `## Answer`, `[Answer]`, `Answer: …`. Pure.

Tags may carry a mark that the writer of the prompt chose (`<answer-5c1e>`): only the same mark closes them. A plain
tag is closed by the first closing tag, whoever wrote it, as a model would read it.
"""

from __future__ import annotations

import re

import msgspec

__all__ = ["Sections", "read_sections"]

# What a part is called, and what else people call it. Longer names are looked for first.
_NAMES: dict[str, str] = {
    "question": "question|user question|user message|customer question|original question|query|input|user input|user",
    "answer": "answer|response|output|submission|completion|reply|candidate answer|model answer|model output|"
    "model response|assistant answer|assistant response|actual output|generated answer|new answer|answer to grade|"
    "improved answer|submitted answer|summary",
    "first": "answer a|answer 1|response a|response 1|output a|output 1|first answer|first response|assistant a|answer one|"
    "candidate a|candidate 1|option a",
    "second": "answer b|answer 2|response b|response 2|output b|output 2|second answer|second response|assistant b|"
    "answer two|candidate b|candidate 2|option b",
    "reference": "reference|reference answer|expected|expected answer|expected output|ideal answer|ideal|gold answer|"
    "ground truth|expert answer|correct answer|target",
    "context": "context|handbook|document|documents|source|sources|knowledge|knowledge base|source text|passages|excerpt|"
    "retrieved context|background",
    "previous": "previous answer|earlier answer|old answer|original answer|previous response|first draft",
    "feedback": "feedback|user feedback|comment|complaint",
    "rubric": "rubric|grading rubric|scoring rubric|scale|grading scale|scoring guide|grades",
    "criteria": "criteria|criterion|checklist|requirements",
    "conversation": "conversation|transcript|dialogue|dialog|chat|chat log",
    "examples": "example|examples|cases|existing cases|test cases|questions|seed cases",
}
_CANONICAL = {alias: name for name, aliases in _NAMES.items() for alias in aliases.split("|")}
_ALIAS = "|".join(
    sorted((re.escape(alias).replace(r"\ ", r"[ _-]") for alias in _CANONICAL), key=len, reverse=True)
)
_TAG = re.compile(
    rf"<(?P<tag>(?P<name>{_ALIAS})(?P<mark>[-_:.][A-Za-z0-9]{{4,64}})?)(?:\s[^<>]{{0,200}})?>", re.IGNORECASE
)
_HEADING = re.compile(
    rf"^[ \t]*(?:#{{1,6}}[ \t]*|\*\*|\[)?(?:the )?(?P<name>{_ALIAS})(?:\]|\*\*)?[ \t]*(?P<colon>:)?(?:\*\*)?[ \t]*(?P<rest>[^\n]*)$",
    re.IGNORECASE | re.MULTILINE,
)
_RULE = re.compile(r"^[ \t]*(?:-{3,}|\*{3,}|={3,}|_{3,})[ \t]*$", re.MULTILINE)
_FENCE = re.compile(r"^(?:```\w*|\"\"\"|''')\s*\n?(?P<inside>.*?)\n?\s*(?:```|\"\"\"|''')$", re.DOTALL)
_MOST = 512 * 1024


class Sections(msgspec.Struct, frozen=True):
    """`task` is the prompt without its labelled parts; `parts` holds these by canonical name, in their order.

    `after` is what stands in the task behind the first part: there, an order counts like the prompt's own.
    """

    task: str
    after: str
    parts: dict[str, tuple[str, ...]]

    def one(self, name: str) -> str:
        """The first part of this name, or ""."""
        return self.parts.get(name, ("",))[0]


def read_sections(text: str) -> Sections:
    """The parts of a prompt. Where it uses tags, headings inside them are theirs."""
    text = text[:_MOST]
    parts: dict[str, list[str]] = {}
    left: list[str] = []
    after_from = 0
    position = 0
    while True:
        opening = _TAG.search(text, position)
        if opening is None:
            break
        closing = text.find(f"</{opening['tag']}>", opening.end())
        if closing < 0:
            left.append(text[position : opening.end()])
            position = opening.end()
            continue
        left.append(text[position : opening.start()])
        after_from = after_from or sum(map(len, left))
        parts.setdefault(_canonical(opening["name"]), []).append(text[opening.end() : closing].strip("\n"))
        position = closing + len(opening["tag"]) + 3
    left.append(text[position:])
    task = "".join(left)
    if not parts:
        task, after_from = _headed(task, parts)
    return Sections(
        task, task[after_from:] if parts else "", {name: tuple(found) for name, found in parts.items()}
    )


def _canonical(name: str) -> str:
    return _CANONICAL[re.sub(r"[ _-]", " ", name.lower())]


def _headed(text: str, parts: dict[str, list[str]]) -> tuple[str, int]:
    """`(the text without headed parts, where in it the first of them stood)`."""
    found = [match for match in _HEADING.finditer(text) if _is_heading(match)]
    if not found:
        return text, 0
    kept = [text[: found[0].start()]]
    for index, match in enumerate(found):
        end = found[index + 1].start() if index + 1 < len(found) else len(text)
        rule = _RULE.search(text, match.end(), end)
        body = match["rest"] + text[match.end() : rule.start() if rule else end]
        parts.setdefault(_canonical(match["name"]), []).append(_unfenced(body))
        if rule:
            kept.append(text[rule.end() : end])
    return "".join(kept), len(kept[0])


def _is_heading(match: re.Match[str]) -> bool:
    """`## Answer` and `Answer: …` are headings; a sentence that happens to begin with the word is not."""
    marked = match[0].lstrip()[:1] in {"#", "*", "["}
    return bool(match["colon"]) or (marked and not match["rest"].strip())


def _unfenced(body: str) -> str:
    body = body.strip()
    fenced = _FENCE.match(body)
    return fenced["inside"].strip() if fenced else body
