"""What each user's session will be: planned before anything is sent, from the seed alone."""

from __future__ import annotations

import msgspec

from ratchet.demo.people import User
from ratchet.demo.questions import FOLLOW_UPS, OFF_TOPIC, QUESTIONS, UNCOVERED, Question
from ratchet.simulator.dice import Dice

__all__ = ["Session", "Step", "plan_session"]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the user. `kind`: chat | tools | ticket | image | think | leave | mistake."""

    kind: str
    text: str
    question: Question | None = None  # None: there is no right or wrong answer to it
    stream: bool = False
    fault: str = ""  # asked of the simulator, in the header x-simulate
    mistake: str = ""  # unknown_route | empty_messages | wrong_type


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """`traced`: the app records spans of its own. `carries`: the handbook's text is in the prompt."""

    id: str
    user: User
    tags: tuple[str, ...]
    steps: tuple[Step, ...]
    traced: bool
    carries: bool


_FAULTS = (
    "status=429; retry-after=1",
    "status=500; body=html",
    "status=503",
    "cut=4",
    "empty",
    "content-filter",
    "latency=1200ms",
    "body=malformed",
)
_MISTAKES = ("unknown_route", "empty_messages", "wrong_type")
_SECOND_QUESTION = 0.12


def plan_session(user: User, seed: int, *, carry: float) -> Session:
    """The session of one user; `carry` is the share of sessions with the handbook in the prompt."""
    dice = Dice(f"session {seed} {user.id}".encode())
    turns = 1 + sum(dice.chance(f"another turn {i}", 0.42) for i in range(3))
    steps: list[Step] = []
    for index in range(turns):
        step = _step(user, dice.child(f"step {index}"), number=int(user.id[-4:]) * 10 + index)
        if index and step.kind == "chat" and dice.chance(f"follow-up {index}", 0.4):
            step = msgspec.structs.replace(step, text=dice.pick(f"which {index}", FOLLOW_UPS), question=None)
        steps.append(step)
    tags = ("web",) if dice.chance("web", 0.7) else ("mobile",)
    return Session(
        id=f"s-{dice.letters('id', 10).lower()}",
        user=user,
        tags=(*tags, user.plan),
        steps=tuple(steps),
        traced=dice.chance("traced", 0.5),
        carries=dice.chance("carries", carry),
    )


def _step(user: User, dice: Dice, *, number: int) -> Step:
    stream = dice.chance("stream", 0.55)
    draw = dice.number("kind")
    question = _question(user, dice)
    if draw < 0.13:
        return _tools(dice, number, stream=stream)
    if draw < 0.22:
        return Step(kind="ticket", text=question.text, question=question)
    if draw < 0.26:
        return Step(
            kind="image",
            text="My parcel arrived like this. How soon must I report the damage?",
            question=_DAMAGE,
        )
    if draw < 0.30:
        return Step(kind="think", text=question.text, question=question, stream=stream)
    if draw < 0.33:
        return Step(kind="leave", text=question.text, stream=True)
    if draw < 0.35:
        return Step(kind="mistake", text=question.text, mistake=dice.pick("mistake", _MISTAKES))
    fault = dice.pick("fault", _FAULTS) if draw < 0.38 else ""
    text = question.text
    if dice.chance("two questions", _SECOND_QUESTION) and question.facts:
        other = dice.pick("second", [q for q in QUESTIONS if q.language == question.language])
        question = Question(
            f"{text} {other.text}", question.section, question.facts + other.facts, question.language
        )
    return Step(kind="chat", text=question.text, question=question, stream=stream, fault=fault)


_DAMAGE = next(question for question in QUESTIONS if "damaged" in question.text)


def _question(user: User, dice: Dice) -> Question:
    """Mostly one that the handbook answers, in the user's language where there is one."""
    draw = dice.number("which kind")
    if draw < 0.04:
        return dice.pick("off topic", OFF_TOPIC)
    pool = UNCOVERED if draw < 0.14 else QUESTIONS
    own = [question for question in pool if question.language == user.language]
    return dice.pick("question", own or pool)


def _tools(dice: Dice, number: int, *, stream: bool) -> Step:
    orders = [f"AF-{10000 + number * 3 + i}" for i in range(2)]
    text = dice.pick(
        "tools",
        (
            f"Where is my order {orders[0]}?",
            f"Where are my orders {orders[0]} and {orders[1]}?",
            f"Is the Larch Jacket in stock in size M, and where is my order {orders[0]}?",
            "How many pieces of the Heron Tent do you have in stock?",
        ),
    )
    return Step(kind="tools", text=text, stream=stream)
