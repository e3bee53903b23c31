"""The pure core: an `Ask` and a seed go in, an `Answer` comes out. No clock, no network, no state."""

from __future__ import annotations

import msgspec

from ratchet.simulator import tokens
from ratchet.simulator.ask import Ask, Call
from ratchet.simulator.dice import Dice
from ratchet.simulator.draft import Draft
from ratchet.simulator.handbook import Handbook
from ratchet.simulator.models import ModelClass, class_of, reasoning_budget
from ratchet.simulator.roles import role_for

__all__ = ["Answer", "Choice", "answer", "prompt_tokens"]

# What OpenAI adds to the text: 3 tokens a message, 3 that open the answer. Images: 85 in low detail, else 765.
_PER_MESSAGE, _OPENING = 3, 3
_IMAGE_LOW, _IMAGE, _FILE = 85, 765, 1500
_AUDIO_CHARACTERS_PER_TOKEN = 640


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """`finish` is stop, length, tool_calls or content_filter; `stopped_by` the stop sequence that ended the text."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    refusal: str = ""
    reasoning: str = ""
    finish: str = "stop"
    stopped_by: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the wire needs but ids and times. `flaw` says which schema could not be satisfied, if any."""

    choices: tuple[Choice, ...]
    input_tokens: int
    input_audio_tokens: int
    output_tokens: int
    reasoning_tokens: int
    model_class: ModelClass
    flaw: str = ""


def answer(ask: Ask, *, seed: int = 0, handbook: Handbook | None = None) -> Answer:
    """The answer to `ask`; the same for the same ask and seed."""
    book = handbook or Handbook.shipped()
    kind = class_of(ask.model, effort=ask.effort)
    dice = Dice(ask.key + f" {seed} {ask.seed}".encode())
    role = role_for(ask)
    choices: list[Choice] = []
    flaw = ""
    reasoning = spent = 0
    for index in range(ask.n):
        own = dice if index == 0 else dice.child(f"choice {index}")
        draft = role.reply(ask, own, book, kind)
        thought = reasoning_budget(ask.effort, own) if kind.reasons else 0
        choice, used = _limited(ask, draft, thought)
        choices.append(choice)
        reasoning += min(thought, used)
        spent += used
        flaw = flaw or draft.flaw
    text_tokens, audio_tokens = prompt_tokens(ask)
    return Answer(
        choices=tuple(choices),
        input_tokens=text_tokens + audio_tokens,
        input_audio_tokens=audio_tokens,
        output_tokens=spent,
        reasoning_tokens=reasoning,
        model_class=kind,
        flaw=flaw,
    )


def prompt_tokens(ask: Ask) -> tuple[int, int]:
    """`(text, image and file tokens, audio tokens)` of the prompt."""
    total, audio = _OPENING, 0
    for turn in ask.turns:
        total += _PER_MESSAGE + tokens.count(turn.text) + (1 if turn.name else 0)
        for call in turn.calls:
            total += tokens.count(call.name) + tokens.count(call.arguments)
        for kind, content in turn.blobs:
            if kind == "image":
                total += _IMAGE_LOW if content.startswith("low:") else _IMAGE
            elif kind == "audio":
                audio += 1 + len(content) // _AUDIO_CHARACTERS_PER_TOKEN
            else:
                total += _FILE
    for tool in ask.tools:
        total += (
            7
            + tokens.count(tool.name)
            + tokens.count(tool.description)
            + tokens.count(str(tool.parameters)) // 2
        )
    return total, audio


def _limited(ask: Ask, draft: Draft, thought: int) -> tuple[Choice, int]:
    """The draft cut at stop sequences and at the token limit, and the tokens it used."""
    text, finish, stopped_by = draft.text, "stop", ""
    for stop in ask.stop:
        found = text.find(stop)
        if found >= 0:
            text, stopped_by = text[:found], stop
    if draft.calls:
        # A named or required call ends with "stop" at OpenAI when it was forced by name.
        finish = "stop" if ask.named_tool else "tool_calls"
    room = None if ask.max_tokens is None else max(0, ask.max_tokens - thought)
    used = sum(3 + tokens.count(call.name) + tokens.count(call.arguments) for call in draft.calls)
    parts = tokens.pieces(text or draft.refusal)
    if room is not None and used + len(parts) > room:
        cut = "".join(parts[: max(0, room - used)])
        calls = draft.calls if used <= room else _fitting(draft.calls, room)
        limit = ask.max_tokens or 0
        return Choice(
            text=cut if text else "",
            calls=calls,
            refusal=cut if draft.refusal and not text else "",
            reasoning=draft.reasoning,
            finish="length",
        ), limit
    choice = Choice(
        text=text,
        calls=draft.calls,
        refusal=draft.refusal,
        reasoning=draft.reasoning,
        finish=finish,
        stopped_by=stopped_by,
    )
    return choice, used + len(parts) + thought


def _fitting(calls: tuple[Call, ...], room: int) -> tuple[Call, ...]:
    """As much of the calls as fits: the last one's arguments are cut, as they are in a real answer."""
    kept: list[Call] = []
    for call in calls:
        room -= 3 + tokens.count(call.name)
        if room <= 0:
            break
        parts = tokens.pieces(call.arguments)
        kept.append(Call(call.id, call.name, "".join(parts[:room])))
        room -= len(parts)
        if room <= 0:
            break
    return tuple(kept)
