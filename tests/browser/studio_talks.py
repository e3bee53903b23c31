"""Sessions of several turns, each with the whole history before it: what the sessions' pages are tested and looked at with."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from browser.studio_seed import HANDBOOK, MINUTE, PROJECT, SECOND, TALKS, Seed, encoded
from ratchet.domain.messages import Message, TextPart, ToolCallPart, ToolCallResponsePart
from ratchet.domain.spans import Score, Span

__all__ = ["LONG", "SLASHED", "conversations"]

LONG = "talk-long"  # sixty turns
SLASHED = "shop/10 % off?"  # an id that only an app could think of
LANGUAGES = ("en", "en", "de", "")


def said(role: str, text: str) -> Message:
    return Message(role=role, parts=[TextPart(text)])


def one_talk(
    seed: Seed, session: str, begun: int, turns: int, who: dict[str, Any], *, cut_to: int = 0
) -> list[Span]:
    """Turns a minute apart. `cut_to` keeps only so many messages of the history, as apps with little room do."""
    history: list[Message] = []
    spans: list[Span] = []
    for number in range(turns):
        question, answer = TALKS[(len(session) + number) % len(TALKS)]
        history.append(said("user", question if turns < 20 else f"{question} ({number + 1})"))
        kept = history[-cut_to:] if cut_to else history
        reply = Message(role="assistant", parts=[TextPart(answer)], finish_reason="stop")
        spans.append(
            seed.call(
                begun + number * MINUTE,
                question,
                answer,
                session_id=session,
                input_messages=encoded([said("system", HANDBOOK), *kept]),
                output_messages=encoded([reply]),
                **who,
            )
        )
        history.append(said("assistant", answer))
    return spans


def with_tools(seed: Seed, begun: int, who: dict[str, Any]) -> list[Span]:
    """Two turns; in the first the model asks a tool, so that its trace has two calls."""
    system, asked = said("system", HANDBOOK), said("user", "Has order 20417 left yet?")
    calls = Message(
        role="assistant",
        parts=[ToolCallPart("c1", "find_order", {"order": 20417})],
        finish_reason="tool_call",
    )
    result = Message(
        role="tool", parts=[ToolCallResponsePart("c1", {"state": "packed", "leaves": "tomorrow"})]
    )
    answer = said("assistant", "Not yet: it is packed and leaves tomorrow.")
    own = {"session_id": "talk-tools", **who}
    first = seed.call(begun, "Has order 20417 left yet?", "", **own, input_messages=encoded([system, asked]),
                      output_messages=encoded([calls]))  # fmt: skip
    second = seed.call(begun + SECOND, "Has order 20417 left yet?", "Not yet: it is packed and leaves tomorrow.",
                       **{**own, "trace_id": first.trace_id, "parent_id": first.span_id},
                       input_messages=encoded([system, asked, calls, result]), output_messages=encoded([answer]))  # fmt: skip
    thanks, welcome = (
        said("user", "Thanks. Please send a note when it does."),
        said("assistant", "I will, to your usual address."),
    )
    third = seed.call(begun + 2 * MINUTE, "Thanks. Please send a note when it does.", "I will, to your usual address.", **own,
                      input_messages=encoded([system, asked, calls, result, answer, thanks]), output_messages=encoded([welcome]))  # fmt: skip
    seed.score(third, "thumb", 1.0, author=who["user_id"], comment="That was quick.")
    return [first, second, third]


def conversations(now: int) -> Seed:
    """Short talks over three days, one with tools, one of sixty turns, one with an awkward name and one cut short."""
    seed = Seed(now, seed=21)
    pick = seed.random
    for number in range(24):
        user = f"{('kim', 'noor', 'ravi', 'elin', 'otto')[number % 5]}.{number % 7}"
        who = {
            "user_id": user,
            "organisation_id": ("fjord", "mesa", "")[number % 3],
            "language": LANGUAGES[number % 4],
        }
        begun = now - 3 * MINUTE - int(number * 2.7 * 3600) * SECOND
        spans = one_talk(seed, f"talk-{number:02}", begun - 6 * MINUTE, pick.randrange(2, 6), who)
        if number % 3 == 0:
            seed.score(
                spans[-1],
                "thumb",
                1.0 if number % 2 else 0.0,
                author=user,
                comment="Not what I asked." if number % 2 == 0 else "",
            )
    kim = {"user_id": "kim.0", "organisation_id": "fjord", "language": "en"}
    with_tools(seed, now - 5 * MINUTE, kim)
    one_talk(seed, LONG, now - 90 * MINUTE, 60, {"user_id": "noor.1", "language": "de"})
    one_talk(seed, "talk-cut", now - 30 * MINUTE, 8, kim, cut_to=5)
    one_talk(
        seed,
        SLASHED,
        now - 20 * MINUTE,
        2,
        {"user_id": "a/b c", "organisation_id": "50%", "cost": Decimal(0)},
    )
    seed.scores.append(
        Score(project_id=PROJECT, score_id=seed.id(32), time=now - MINUTE, name="ease", value=4.0, source="user",
              author="kim.0", session_id="talk-tools", comment="Easy enough.")
    )  # fmt: skip
    return seed
