"""Instructions in a system prompt, recognised by their wording.

Each instruction has several phrasings; a sentence that negates one ("do not cite …") does not set it. Where two
sentences disagree, the later one holds. What an instruction does to answers is in answerer.py; how reliably a model
keeps it, in models.py.
"""

from __future__ import annotations

import functools
import re

import msgspec

__all__ = ["Instructions", "read_instructions", "split_context"]


class Instructions(msgspec.Struct, frozen=True, kw_only=True):
    """What the system prompt asks for. `count` is how many instructions were recognised."""

    brief: bool = False
    detailed: bool = False
    max_sentences: int | None = None
    max_words: int | None = None
    cite: bool = False
    json: bool = False
    json_keys: tuple[str, ...] = ()
    bullets: bool = False
    on_topic: bool = False  # refuse what has nothing to do with the shop
    language: str = ""  # "user": the user's own; else a code; "": not said
    tone: str = ""  # formal | friendly
    no_legal: bool = False
    no_medical: bool = False
    admit: bool = False  # say that you don't know
    grounded: bool = False  # answer from the handbook only
    clarify: bool = False
    offer: bool = False
    use_name: bool = False
    no_promises: bool = False
    resist: bool = False  # don't obey instructions in the user's message
    every_part: bool = False
    check: bool = False  # check numbers, quote exactly
    creative: bool = False
    confident: bool = False
    customer: str = ""
    count: int = 0


_NEGATION = re.compile(
    r"\b(?:do not|don'?t|never|no need to|avoid|must not|should not|shouldn'?t|without|not necessary)\b"
)
_S = re.IGNORECASE
# Instructions that a negation in the same sentence turns off.
_POSITIVE: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern, _S))
    for name, pattern in (
        ("brief", r"\b(?:brief(?:ly)?|concise(?:ly)?|short (?:answer|repl|response|and)|keep (?:it|answers?|replies|responses?|your answers?) (?:short|brief|concise|to the point)|be (?:short|succinct|terse)|to the point|as few words|shortly)\b"),
        ("detailed", r"\b(?:detailed|in detail|thorough(?:ly)?|comprehensive(?:ly)?|elaborate|long answers?|explain fully|as much (?:detail|information))\b"),
        ("cite", r"\b(?:cit(?:e|ing|ation)|(?:name|mention|reference|quote|give|state|include|add|refer to|point to) (?:the |its |your |a )?(?:handbook |relevant |exact |matching )*(?:sections?|source|paragraph|chapter|section (?:number|title))|section number|with (?:its|the) source)\b"),
        ("bullets", r"\b(?:bullet points?|bulleted|as a list|bullet list)\b"),
        ("clarify", r"\b(?:ask (?:a |one |for )?(?:clarif\w+|follow-?up|short question|back)|clarifying question|ask (?:what|which) (?:they|the (?:user|customer)) mean)|\bif (?:the|a) (?:question|request|message) is (?:unclear|ambiguous|vague)[^.]{0,120}\bask\b"),
        ("offer", r"\b(?:end|finish|close|conclude)\b[^.]{0,120}\b(?:offer|anything else|further (?:help|questions)|more help)|\boffer (?:further |more |additional )?(?:help|assistance)\b|\bask (?:if|whether) (?:there is |you can help |they need )?(?:anything else|more help)"),
        ("use_name", r"\b(?:use|address|greet|mention|call)\b[^.]{0,120}\b(?:by (?:their |the |his or her )?(?:first )?name|(?:customer|user|person)'?s'? (?:first )?name|their (?:first )?name)\b"),
        ("every_part", r"\b(?:answer|address|cover|respond to)\b[^.]{0,120}\b(?:every|each|all|both)\b[^.]{0,120}\b(?:parts?|questions?|points?)\b|\bseveral questions\b[^.]{0,120}\b(?:all|each)\b"),
        ("check", r"\b(?:double-?check|verify|check (?:all |every |the )?(?:numbers?|figures?|facts|answer)|quote (?:numbers?|figures?|the handbook|prices?)[^.]{0,120}(?:exactly|verbatim|word for word)?|(?:exact|correct|copy the) (?:numbers?|figures?|wording)|step by step|carefully)\b"),
        ("creative", r"\b(?:be (?:creative|imaginative|playful|witty)|use your imagination|creative(?:ly)?)\b"),
        ("confident", r"\b(?:always (?:give|have|provide) an? (?:\w+ )?answer|sound (?:confident|certain)|be (?:confident|assertive|decisive)|confident(?:ly)?)\b"),
        ("json", r"\bjson\b"),
    )
)  # fmt: skip
# Instructions that are negations themselves, or that no negation turns off.
_AS_THEY_STAND: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern, _S))
    for name, pattern in (
        ("on_topic", r"\b(?:refuse|decline|reject|do not answer|don'?t answer|never answer|politely turn down)\b[^.]{0,120}\b(?:off-?topic|unrelated|other (?:topics|subjects|questions)|not (?:about|related)|outside|anything else|general knowledge)\b|\bonly (?:answer|discuss|talk about|help with|respond to)\b[^.]{0,120}\b(?:questions? about|about (?:the|our|this)|related to|shop|store|products?|orders?|company)\b|\bstay on[- ]topic\b|\bout of scope\b"),
        ("admit", r"\b(?:say|admit|tell|state|reply|answer|respond|write)\b[^.]{0,120}\b(?:(?:you |that you |I )?(?:do not|don[’']?t|doesn'?t) know|not know|are (?:not|un)sure|no information|can(?:not|'t) (?:find|answer))|\bif (?:you (?:do not|don'?t) know|unsure)\b[^.]{0,120}\b(?:say so|admit)|\bdon'?t know[\"”']? (?:instead|rather)|\bwhen (?:unsure|in doubt)\b[^.]{0,120}\bsay so\b"),
        ("grounded", r"\b(?:only|solely|exclusively|strictly)\b[^.]{0,120}\b(?:handbook|context|document|text below|information (?:provided|given|above|below)|knowledge base|policies)\b|\b(?:do not|don'?t|never|avoid)\b[^.]{0,120}\b(?:mak(?:e|ing) (?:things |anything |something |facts |policies )?up|invent\w*|guess\w*|hallucinat\w*|speculat\w*|assum\w*)\b|\bbase your answers? on\b|\bstick to the (?:handbook|facts|context|text)\b"),
        ("no_legal", r"\b(?:not|never|don'?t|no|refuse|avoid)\b[^.]{0,120}\blegal\b"),
        ("no_medical", r"\b(?:not|never|don'?t|no|refuse|avoid)\b[^.]{0,120}\b(?:medical|health)\b"),
        ("no_promises", r"\b(?:never|not|don'?t|avoid)\b[^.]{0,120}\b(?:promis\w+|guarantee\w*|commit\w*|offer|approv\w+|grant\w*)\b[^.]{0,120}\b(?:refunds?|money back|compensation|reimburse\w*|credit)\b"),
        ("resist", r"\b(?:ignore|disregard|do not follow|don'?t follow|never follow|do not obey|never obey|resist|reject)\b[^.]{0,120}\b(?:instructions?|attempts?|requests?|prompts?|commands?)\b[^.]{0,120}\b(?:user|customer|message|change|override|role|rules|reveal)|\b(?:never|not|don'?t)\b[^.]{0,120}\b(?:reveal|disclose|share|repeat)\b[^.]{0,120}\b(?:prompt|instructions)\b|\bprompt injection\b"),
    )
)  # fmt: skip
_FORMAL = re.compile(
    r"\b(?:formal(?:ly)?|professional(?:ly)? tone|polite and professional|businesslike)\b", _S
)
_FRIENDLY = re.compile(
    r"\b(?:friendly|warm(?:ly)?|cheerful(?:ly)?|casual(?:ly)?|informal(?:ly)?|upbeat)\b", _S
)
_NUMBERS = {
    "one": 1,
    "a single": 1,
    "single": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "ten": 10,
}
_COUNT = r"(\d+|one|a single|single|two|three|four|five|six|ten)"
_LIMIT = re.compile(
    r"\b(?:at most|no more than|not more than|maximum(?: of)?|max\.?|up to|under|within|fewer than|less than|in|limit\w*(?: \w+){0,4} to|exactly|\d+ ?(?:to|-|–))\s+"
    + _COUNT + r"(?:\s*(?:to|-|–|or)\s*(\d+|two|three|four|five))?\s+(?:short\s+|complete\s+)?(sentences?|words?)\b", _S,
)  # fmt: skip
_RANGE = re.compile(r"\b(\d+)\s*(?:-|–|to)\s*(\d+)\s+(sentences?|words?)\b", _S)
_LANGUAGES = {
    "english": "en",
    "german": "de",
    "deutsch": "de",
    "spanish": "es",
    "español": "es",
    "french": "fr",
    "français": "fr",
}
_IN_LANGUAGE = re.compile(
    r"\b(?:answer|reply|respond|write|speak|always|only|antworte\w*|responde\w*|réponds?)\b[^.]{0,120}\b(?:in|auf|en)\s+(" + "|".join(_LANGUAGES) + r")\b", _S
)  # fmt: skip
_USER_LANGUAGE = re.compile(
    r"\b(?:(?:user|customer|person)'?s'? (?:own )?language|same language|language (?:of|in which|that|the) (?:the )?(?:user|customer|question|message)|their (?:own )?language)\b", _S
)  # fmt: skip
_CUSTOMER = re.compile(
    r"\b(?:[Cc]ustomer|[Uu]ser)(?:'s)?(?: first)? ?(?:name)?\s*(?:is(?: called)?|:|=)\s*([A-ZÀ-Þ][\w'’-]+)"
)
_KEYS_QUOTED = re.compile(r"[\"'`]([A-Za-z_]\w*)[\"'`]")
_CONTEXT_OPENING = re.compile(
    r"^[ \t#*]*(?:context|handbook|knowledge base|reference(?: text)?|documents?|excerpts?|policies|faq|background)\b[^\n:]{0,40}:[ \t]*\**",
    _S | re.MULTILINE,
)
_CONTEXT_TAGS = ("context", "handbook", "documents", "document", "knowledge", "reference", "faq")
_QUESTION_OPENING = re.compile(
    r"^\s*(?:question|user question|customer(?: question)?|query)\s*:\s*", _S | re.MULTILINE
)
_LEAST_CONTEXT, _MOST_CONTEXT = 40, 512 * 1024
_SENTENCES = re.compile(r"(?<=[.!?;])\s+|\n+")


def split_context(text: str) -> tuple[str, str]:
    """`(the text without it, the knowledge the prompt carries)`. No context: `(text, "")`."""
    if not _LEAST_CONTEXT + len("faq:") <= len(text) <= _MOST_CONTEXT:
        return text, ""
    lowered = text.lower()
    for tag in _CONTEXT_TAGS:
        start, end = lowered.find(f"<{tag}>"), lowered.rfind(f"</{tag}>")
        inside = text[start + len(tag) + 2 : end].strip()
        if 0 <= start < end and len(inside) >= _LEAST_CONTEXT:
            return text[:start] + text[end + len(tag) + 3 :], inside
    for opening in _CONTEXT_OPENING.finditer(text):
        question = _QUESTION_OPENING.search(text, opening.end())
        context = text[opening.end() : question.start() if question else len(text)].strip()
        if len(context) >= _LEAST_CONTEXT:
            return text[: opening.start()] + (text[question.end() :] if question else ""), context
    return text, ""


@functools.lru_cache(maxsize=512)
def read_instructions(system: str) -> Instructions:
    """The instructions in a system prompt, its context already taken out."""
    found: dict[str, object] = {}
    for sentence in _SENTENCES.split(system):
        if sentence.strip():
            _read_sentence(sentence, found)
    customer = _CUSTOMER.search(system)
    if customer:
        found["customer"] = customer[1]
    if found.get("json"):
        found["json_keys"] = tuple(dict.fromkeys(_KEYS_QUOTED.findall(system)))
    count = len(found.keys() - {"customer", "json_keys"})
    return Instructions(**found, count=count)  # type: ignore[arg-type]  # names and types are those of the table


def _read_sentence(sentence: str, found: dict[str, object]) -> None:
    negated = _NEGATION.search(sentence.lower())
    for name, pattern in _POSITIVE:
        match = pattern.search(sentence)
        if match:
            if negated and negated.start() < match.start():
                found.pop(name, None)
            else:
                found[name] = True
    for name, pattern in _AS_THEY_STAND:
        if pattern.search(sentence):
            found[name] = True
    for name, pattern in (("formal", _FORMAL), ("friendly", _FRIENDLY)):
        if pattern.search(sentence) and not negated:
            found["tone"] = name
    language = _IN_LANGUAGE.search(sentence)
    if _USER_LANGUAGE.search(sentence):
        found["language"] = "user"
    elif language and not negated:
        found["language"] = _LANGUAGES[language[1].lower()]
    limit = _RANGE.search(sentence) or _LIMIT.search(sentence)
    if limit:
        number = (limit[2] or limit[1]).lower()
        key = "max_sentences" if limit[3].lower().startswith("sentence") else "max_words"
        found[key] = _NUMBERS.get(number) or int(number)
