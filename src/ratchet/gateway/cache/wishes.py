"""Whether a text plainly asks for a tool, which likeness can't tell: "don't cancel it" is as near as "cancel it". Pure.

A tool is chosen without a model only where nothing speaks against it: no negation, no condition or second thought, no
word of another tool; and only where the text begins like a request for it. A tool that does something has to be told to
do it, in its own verb; a tool that only looks something up may be asked. What a request begins with is English at first;
`Openings` learns others from what a model chooses. It errs on the safe side: a doubt costs a model's call.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import msgspec

from ratchet.gateway.cache.likeness import content_words
from ratchet.gateway.cache.tokens import deciding_tokens, opposed, sides_of, words_of

__all__ = ["Manner", "Openings", "Reading", "doubt", "manner_of", "reading_of"]

# What stands before the verb of a request.
_LEAD = re.compile(
    r"(?:\W+|(?:please|pls|kindly|just|now|hey|hi|hello|ok|okay|so|yes|my|the|a|an|all|me|us)\b"
    r"|(?:can|could|would) you\b"
    r"|(?:i|we)(?: would|'d|’d)? (?:want|need|wish|like|love)(?: you)? to\b"
    r"|let['’]?s\b|go ahead and\b)*"
)
_ASKED_TO = re.compile(r"\b(?:can|could|would) you\b")
_THESE = frozenset(("this", "his", "its"))
_QUOTE = re.compile(r"[\"“”„«»`]|(?:^|\s)['‘’]")
_SENTENCE_END = re.compile(r"(?<![.!?;\n])[.!?;\n]+(?:\s+|$)")
_COURTESY = frozenset("thanks thank cheers please now asap soon bye pls kindly".split())  # noqa: SIM905 - a list of words
_QUESTIONS = frozenset(
    "what what's whats which who who's whose where where's when how how's why is are was were am do does did has have can could will "  # noqa: SIM905
    "would should may any".split()
)
# Beginnings that are no verb: what follows them tells of something.
_TELLING = frozenset(
    "i i'd i'm i've we you he she it they this that these those there here your his her its our their in on at by for "  # noqa: SIM905
    "to from with of about after and or as then also".split()
)
# Conditions, exceptions and second thoughts. A tool whose own description has the word is not doubted for it.
_HEDGES = frozenset(
    "if unless until till otherwise whether once when whenever while before after instead rather except but although though "  # noqa: SIM905
    "actually wait oops sorry nevermind else un dont doesnt didnt wont cant couldnt shouldnt wouldnt isnt wasnt arent "
    "havent hasnt wenn falls sondern statt stattdessen si mais sino pero se ma als maar".split()
)
# What a tool begins with that changes nothing.
_READS = frozenset(
    "get look lookup find search list show read view fetch check describe count query retrieve track see display "  # noqa: SIM905
    "compare calculate compute convert translate summarize summarise explain estimate forecast browse".split()
)
_ASKING = _READS | {"tell", "give"}  # what a person begins with who wants to know
# What a tool's name has that changes something, whatever it begins with.
_DOES = frozenset(
    "cancel delete remove erase send pay buy book transfer refund return close stop start block lock unlock update edit "  # noqa: SIM905
    "change set write create add insert drop reset revoke deploy restart submit post share upload approve reject reserve "
    "rent hand call run execute kill move rename replace in out purge clear wipe restore rotate rid".split()
)
# Negations of languages that `tokens` doesn't know, and signs that negate in those that write no spaces.
_NOT_ELSEWHERE = frozenset(
    "nie ne nem nu değil hayır ei älä jangan tidak bukan không đừng δεν μην όχι لا لم לא אל नहीं मत ni není nej nein ні".split()  # noqa: SIM905
)
_NOT_SIGNS = re.compile("[不别別勿没沒非]|ない|ません|なく|않|안 |말고|말아|ไม่|อย่า")
_FAR = 4  # tools beside the nearest whose descriptions are held against it; of the others only the names
_SURE = 2  # times that a model has to take a beginning for the same tool
_IRREGULAR = {
    "sent": "send", "bought": "buy", "paid": "pay", "sold": "sell", "written": "write", "wrote": "write",
    "found": "find", "made": "make", "lent": "lend", "withdrew": "withdraw", "mail": "email", "mails": "email",
}  # fmt: skip


class Manner(msgspec.Struct, frozen=True):
    """How a tool is spoken of. Words are stems."""

    name: frozenset[str]
    verbs: frozenset[str]  # that its name and its description begin with
    words: frozenset[str]  # all that say something
    said: frozenset[str]  # every word as it is written
    sides: frozenset[tuple[int, int]]
    reads: bool  # it only looks something up


class Reading(msgspec.Struct, frozen=True):
    """A text as a request."""

    words: tuple[str, ...]  # stems of those that say something
    said: frozenset[str]  # every word as it is written
    opening: str  # the stem that it begins with, "" for none
    opens: str  # the word itself
    negated: bool
    asks: bool  # a question, and no "can you do this?"
    quotes: bool  # what it begins with is somebody's words
    more: bool  # another sentence says more than thanks
    sides: frozenset[tuple[int, int]]


class Openings:
    """What requests for the tools of one set begin with, beside their own verbs: as models have chosen."""

    def __init__(self) -> None:
        self._chosen: dict[str, dict[str, int]] = {}

    def learn(self, opening: str, tool: str) -> None:
        if opening and (opening in self._chosen or len(self._chosen) < 1000):
            counts = self._chosen.setdefault(opening, {})
            counts[tool] = counts.get(tool, 0) + 1

    def says(self, opening: str, tool: str) -> bool:
        """Whether what begins so was always a request for that tool."""
        counts = self._chosen.get(opening, {})
        return len(counts) == 1 and counts.get(tool, 0) >= _SURE


def manner_of(name: str, description: str, everything: str) -> Manner:
    """`name` as separate words; `everything` has name, parameters and description."""
    named, described = words_of(name), words_of(description)
    begins = [words[0] for words in (named, described) if words]
    # "find_and_delete" and "check_out" do more than look; a tool that is called "weather" may say that it looks.
    looks = _DOES.isdisjoint(named) and any(word in _READS for word in begins)
    reads = looks and ((named[:1] == begins[:1] and begins[0] in _READS) or _DOES.isdisjoint(described))
    return Manner(
        frozenset(map(_stem, content_words(name))),
        frozenset(map(_stem, begins)),
        frozenset(map(_stem, content_words(everything))),
        frozenset(words_of(everything)),
        sides_of(words_of(everything)),
        reads,
    )


def reading_of(text: str) -> Reading:
    text = unicodedata.normalize("NFKC", text)
    tokens = deciding_tokens(text)
    lowered = text.lower()
    sentences = [part for part in _SENTENCE_END.split(lowered) if part.strip()]
    start = _end_of_lead(lowered)
    opens, what = [*words_of(lowered[start:])[:2], "", ""][:2]
    # "Can you cancel orders?" asks what it can do.
    told = _ASKED_TO.search(lowered) is not None and (what in _THESE or not what.endswith("s"))
    said = frozenset(words_of(text))
    return Reading(
        tuple(map(_stem, content_words(text))),
        said - ({opens} & _QUESTIONS),  # "when is …?"
        _stem(opens),
        opens,
        tokens.negations > 0 or not said.isdisjoint(_NOT_ELSEWHERE) or _NOT_SIGNS.search(text) is not None,
        ("?" in text and not told) or opens in _QUESTIONS,
        _QUOTE.search(lowered, 0, start) is not None,
        any(set(words_of(part)) - _COURTESY - {"you"} for part in sentences[1:]),
        tokens.sides,
    )


def doubt(reading: Reading, tool: Manner, others: Sequence[Manner]) -> str:
    """Why `tool` may not be chosen by distance, "" for nothing: `negation`, `condition`, `opposite`, `another tool`,
    `another thing` than those the tool is for, `no request`, or `unheard`: it begins with no verb of the tool. Only the
    last may be learned.

    `others` are the other tools, the nearest first.
    """
    if reading.negated:
        found = "negation"
    elif (reading.said & _HEDGES) - tool.said:
        found = "condition"
    elif opposed(reading.sides, tool.sides):
        found = "opposite"
    elif _names_another(frozenset(reading.words) - tool.words, others):
        found = "another tool"
    elif reading.opens in _TELLING:
        found = "no request"
    elif tool.reads:
        known = reading.opens in _QUESTIONS or reading.opens in _ASKING or reading.opening in tool.words
        found = "" if known else "unheard"
    else:
        found = _order_doubt(reading, tool)
    return found


def _order_doubt(reading: Reading, tool: Manner) -> str:
    """Of a tool that does something."""
    if reading.asks or reading.quotes or reading.more:
        return "no request"
    if reading.opening not in tool.verbs:
        return "unheard"
    if reading.words.count(reading.opening) > 1:
        return "no request"  # "cancel the cancellation"
    about = tool.words - tool.verbs
    return (
        "another thing" if about and about.isdisjoint(reading.words) else ""
    )  # "cancel my flight" is no order


def _names_another(words: frozenset[str], others: Sequence[Manner]) -> bool:
    words = words - _READ_STEMS
    if not words:
        return False
    return any(
        not words.isdisjoint(other.words if place < _FAR else other.name | other.verbs)
        for place, other in enumerate(others)
    )


def _end_of_lead(lowered: str) -> int:
    found = _LEAD.match(lowered)
    return found.end() if found else 0


def _stem(word: str) -> str:
    """`cancelled`, `cancelling` and `cancels` are `cancel`; what it makes is no word."""
    word = word.removesuffix("'s")
    word = _IRREGULAR.get(word, word)
    for suffix, instead in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            word = word[: -len(suffix)] + instead
            break
    if len(word) > 3 and word[-1] == word[-2]:
        word = word[:-1]
    return word.removesuffix("e") if len(word) > 3 else word


_SUFFIXES = (
    ("ellations", "el"), ("ellation", "el"), ("ies", "y"), ("ing", ""), ("ied", "y"), ("ed", ""), ("ions", ""),
    ("ion", ""), ("es", ""), ("s", ""),
)  # fmt: skip
_READ_STEMS = frozenset(map(_stem, _READS))
