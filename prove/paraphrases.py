"""Questions with a known meaning, said in many ways, among questions that look alike and mean something else.

A *meaning* is what has to be answered. Each is asked in many sentences, by people who choose frames and words of the
same sense, write names small, leave out a question mark, add a greeting. Beside every meaning stand its hard negatives:
the same sentence with another name, number, date or negation, which a comparison of tokens finds, and others that it
does not find: another verb or relation ("cancel" and "pause", "capital" and "population"), another thing that is
written small ("booking" and "order"), and the same words in another order ("list to string", "string to list"). Some
questions are asked once and never again.

Nothing here knows how the cache decides.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator

__all__ = ["Asked", "Town"]


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """A question as somebody asked it. Equal meanings have the same right answers."""

    text: str
    meaning: str
    user: str


@dataclasses.dataclass(frozen=True, slots=True)
class _Kind:
    """Frames with `{v}` (what is asked) and `{o}` (of what); the ways to say each `v` and each `o`."""

    frames: tuple[str, ...]
    verbs: dict[str, tuple[str, ...]]
    things: dict[str, tuple[str, ...]]


def _words(text: str) -> list[str]:
    return text.split()


_SERVICE = _Kind(
    frames=(
        "How do I {v} my {o}?",
        "How can I {v} my {o}?",
        "What do I have to do to {v} my {o}?",
        "I want to {v} my {o}, how does that work?",
        "Where can I {v} my {o}?",
        "Please tell me how to {v} my {o}.",
        "Is there a way to {v} my {o} online?",
        "I would like to {v} the {o} I have, what are the steps?",
        "Can you help me {v} my {o}?",
        "steps to {v} my {o}",
        "how to {v} {o}",
        "What is the easiest way to {v} a {o}?",
    ),
    verbs={
        "cancel": ("cancel", "terminate", "call off", "get rid of"),
        "pause": ("pause", "suspend", "freeze", "put on hold"),
        "renew": ("renew", "extend", "prolong"),
        "transfer": ("transfer", "hand over", "sign over", "pass on"),
        "share": ("share", "use together with family"),
        "change": ("change", "modify", "edit", "adjust"),
        "find": ("find", "look up", "see", "check"),
        "pay": ("pay for", "settle", "pay"),
        "print": ("print", "print out", "get a paper copy of"),
        "insure": ("insure", "get insurance for", "cover"),
        "rename": ("rename", "give another name to"),
        "gift": ("give away", "gift", "make a present of"),
    },
    things={
        "subscription": ("subscription", "abonnement"),
        "order": ("order", "purchase"),
        "booking": ("booking", "reservation"),
        "membership": ("membership", "club card"),
        "contract": ("contract", "agreement"),
        "ticket": ("ticket", "train ticket"),
        "invoice": ("invoice", "bill"),
        "parcel": ("parcel", "package", "shipment"),
        "account": ("account", "user account"),
        "appointment": ("appointment", "consultation"),
        "warranty": ("warranty", "guarantee"),
        "voucher": ("voucher", "coupon"),
        "licence": ("licence", "license key"),
        "policy": ("policy", "insurance policy"),
        "playlist": ("playlist", "list of songs"),
        "course": ("course", "class"),
    },
)
_LAND = _Kind(
    frames=(
        "What is the {v} of {o}?",
        "What's the {v} of {o}?",
        "Tell me the {v} of {o}.",
        "Do you know the {v} of {o}?",
        "{o}: {v}?",
        "I need the {v} of {o}.",
        "Can you tell me what the {v} of {o} is?",
        "Give me the {v} of {o}, please.",
        "what is {o}'s {v}",
        "{v} of {o}",
        "Which is the {v} of {o}?",
    ),
    verbs={
        "capital": ("capital", "capital city"),
        "population": ("population", "number of inhabitants"),
        "currency": ("currency", "money"),
        "language": ("official language", "language"),
        "area": ("area", "size in square kilometres"),
        "president": ("president", "head of state"),
        "mountain": ("highest mountain", "tallest peak"),
        "river": ("longest river", "main river"),
        "dish": ("national dish", "most typical food"),
        "anthem": ("national anthem", "anthem"),
        "dialling code": ("dialling code", "phone prefix"),
        "flag": ("flag", "look of the flag"),
    },
    things={
        name.lower(): (name,)
        for name in _words(
            "France Peru Norway Kenya Japan Chile Egypt Poland Cuba Ghana Nepal Brazil Spain Malta Finland Qatar Iceland "
            "Mexico Laos Bolivia Sweden Tunisia Vietnam Portugal"
        )
    },
)
_WORKS = _Kind(
    frames=(
        "Who {v} {o}?",
        "Do you know who {v} {o}?",
        "Tell me who {v} {o}.",
        "who was it that {v} {o}",
        "I forgot who {v} {o}, can you help?",
        "Which person {v} {o}?",
        "By whom was it: who {v} {o}?",
        "name of the one who {v} {o}",
    ),
    verbs={
        "wrote": ("wrote", "is the author of", "authored"),
        "directed": ("directed", "was the director of", "made the film of"),
        "composed": ("composed the music of", "wrote the score of"),
        "translated": ("translated", "made the translation of"),
        "illustrated": ("illustrated", "drew the pictures for"),
        "starred": ("starred in", "played the lead in"),
        "published": ("published", "brought out"),
        "reviewed": ("reviewed", "wrote a review of"),
    },
    things={
        name.lower(): (name,)
        for name in _words(
            "Dune Emma Ulysses Dracula Momo Beloved Solaris Candide Ivanhoe Persuasion Middlemarch Frankenstein Matilda "
            "Coraline Heidi Rebecca"
        )
    },
)
_CONVERT = _Kind(
    frames=(
        "How do I convert {o} in {v}?",
        "In {v}, how can I turn {o}?",
        "how to change {o} using {v}",
        "Show me how to convert {o} with {v}.",
        "What is the best way to get {o} in {v}?",
        "{v}: {o}",
        "I need to transform {o} in {v}",
        "example of converting {o} in {v}",
    ),
    verbs={name: (name,) for name in ("python", "javascript", "rust", "excel", "bash")},
    things={
        f"{one} to {other}": (f"{words[0]} to {words[1]}", f"{words[0]} into {words[1]}")
        for one, other, words in (
            (one, other, (f"a {one}", f"a {other}"))
            for one in ("list", "string", "date", "number", "table", "dictionary")
            for other in ("list", "string", "date", "number", "table", "dictionary")
            if one != other
        )
    },
)
_RULES = _Kind(
    frames=(
        "Can I {v} {o}?",
        "Am I allowed to {v} {o}?",
        "Is it possible to {v} {o}?",
        "May I {v} {o}?",
        "Could I {v} {o}?",
        "I was wondering if I can {v} {o}.",
        "would it be ok to {v} {o}",
        "Do you let people {v} {o}?",
    ),
    verbs={
        "return": ("return shoes", "send back shoes", "bring back shoes"),
        "exchange": ("exchange shoes", "swap shoes for another pair"),
        "refund": ("get my money back for shoes", "get a refund for shoes"),
        "repair": ("have shoes repaired", "get shoes fixed"),
        "complain": ("complain about shoes", "make a complaint about shoes"),
        "reserve": ("reserve shoes", "have shoes put aside"),
    },
    things={
        f"{relation} {number}": (f"{relation} {number} days", f"{relation} {number} days' time")
        for relation in ("after", "before", "within")
        for number in (7, 10, 14, 20, 30, 45, 60, 90)
    }
    | {
        "no box": ("without the box", "without the original box"),
        "box": ("with the box", "with the original box"),
        "no receipt": ("without a receipt", "without the receipt"),
        "receipt": ("with a receipt", "with the receipt"),
        "monday": ("on a Monday", "on Mondays"),
        "sunday": ("on a Sunday", "on Sundays"),
    },
)
_KINDS = {
    "service": (_SERVICE, 5),
    "land": (_LAND, 4),
    "works": (_WORKS, 2),
    "convert": (_CONVERT, 2),
    "rules": (_RULES, 3),
}
_GREETINGS = ("Hi, ", "Hello! ", "Quick question: ", "Hey, ")
_CLOSINGS = (" Thanks!", " Thank you.", " Please be brief.")
_RARE = (
    "my {a} makes a {b} noise when I {c} it", "why is the {a} {b} after I {c} it", "ideas for a {b} {a} to {c}",
    "how long does a {b} {a} take to {c}", "write a poem about a {b} {a} that wants to {c}",
)  # fmt: skip
_A = _words(
    "kettle garden violin bicycle curtain ladder sofa window kitchen boat engine lamp carpet fridge camera"
)
_B = _words("loud blue heavy broken tiny ancient shiny wet quiet strange dusty narrow empty yellow frozen")
_C = _words("move clean open repair paint sell lift fold wash start polish measure replace store cook")


class Town:
    """People who ask. The same seed asks the same; some meanings are asked often, most seldom (Zipf's law)."""

    def __init__(self, seed: int, *, exponent: float = 0.9, once: float = 0.15, users: int = 400) -> None:
        """`once`: the share of questions that nobody asks again."""
        self._random = random.Random(seed)
        self._once, self._users = once, users
        meanings = [
            (name, verb, thing)
            for name, (kind, _) in _KINDS.items()
            for verb in kind.verbs
            for thing in kind.things
        ]
        self._random.shuffle(meanings)
        # The kinds that people ask most stand for more of the traffic, whatever their number of meanings.
        ranks: dict[str, int] = {}
        weights: list[float] = []
        for name, _, _ in meanings:
            ranks[name] = ranks.get(name, 0) + 1
            weights.append(_KINDS[name][1] / ranks[name] ** exponent)
        self.meanings, self._weights = meanings, weights

    def ask(self, count: int) -> Iterator[Asked]:
        drawn = self._random.choices(self.meanings, self._weights, k=count)
        for meaning in drawn:
            user = f"u{self._random.randrange(self._users)}"
            if self._random.random() < self._once:
                yield Asked(*self._rare(), user)
            else:
                yield Asked(self._said(*meaning), "/".join(meaning), user)

    def _rare(self) -> tuple[str, str]:
        chosen = (self._random.choice(_A), self._random.choice(_B), self._random.choice(_C))
        frame = self._random.randrange(len(_RARE))
        text = _RARE[frame].format(a=chosen[0], b=chosen[1], c=chosen[2])
        return text, f"rare/{frame}/{'/'.join(chosen)}"

    def _said(self, name: str, verb: str, thing: str) -> str:
        kind, choice = _KINDS[name][0], self._random.choice
        text = choice(kind.frames).format(v=choice(kind.verbs[verb]), o=choice(kind.things[thing]))
        dice = self._random.random
        if dice() < 0.12:
            text = choice(_GREETINGS) + text
        elif dice() < 0.1:
            text += choice(_CLOSINGS)
        if dice() < 0.35:
            text = text.lower()
        return text.rstrip("?. ") if dice() < 0.2 else text
