"""An `Answer` as Google's bytes: one response, or the responses of its stream, each with the usage so far."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, cast

import msgspec

from ratchet.simulator import tokens
from ratchet.simulator.answer import Answer, Choice
from ratchet.simulator.ask import Ask, Call
from ratchet.simulator.dice import Dice
from ratchet.simulator.faults import Fault
from ratchet.simulator.gemini.request import GenerateRequest
from ratchet.simulator.gemini.signatures import signature
from ratchet.simulator.streams import Payload
from ratchet.simulator.wire import encode

__all__ = ["Reply", "prompt_details", "response", "responses"]

_PER_CHUNK = 4  # tokens in a chunk of text
_PER_TOOL = 64  # tokens that a tool at the provider adds to the prompt
_IMAGE, _IMAGE_LOW, _FILE, _AUDIO_CHARACTERS = 765, 85, 1500, 640
_CATEGORIES = ("HATE_SPEECH", "DANGEROUS_CONTENT", "HARASSMENT", "SEXUALLY_EXPLICIT")


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """All that an answer on this wire is made of."""

    id: str
    request: GenerateRequest
    answer: Answer
    fault: Fault
    dice: Dice
    cached: int = 0


def response(reply: Reply) -> dict[str, Any]:
    """The whole response."""
    if _blocked(reply):
        return _block(reply)
    candidates = [
        _candidate(reply, index, _parts(reply, choice, index), _finish(choice))
        for index, choice in enumerate(reply.answer.choices)
    ]
    return _shell(reply, candidates, reply.answer.output_tokens - reply.answer.reasoning_tokens)


def _shell(reply: Reply, candidates: list[dict[str, Any]], said: int) -> dict[str, Any]:
    made: dict[str, Any] = {"candidates": candidates}
    if not reply.fault.no_usage:
        made["usageMetadata"] = _usage(reply, said)
    return {**made, "modelVersion": reply.request.ask.model, "responseId": reply.id}


def _blocked(reply: Reply) -> bool:
    return any(choice.refusal for choice in reply.answer.choices)


def _block(reply: Reply) -> dict[str, Any]:
    """A prompt that was not answered at all."""
    made = _shell(reply, [], 0)
    del made["candidates"]
    return {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, **made}


def _candidate(reply: Reply, index: int, parts: list[dict[str, Any]], finish: str | None) -> dict[str, Any]:
    content: dict[str, Any] = {"parts": parts, "role": "model"} if parts else {"role": "model"}
    made: dict[str, Any] = {"content": content}
    if finish and not reply.fault.no_finish:
        made["finishReason"] = finish
        if finish == "SAFETY":
            made["safetyRatings"] = [_rating(name, blocked=i == 0) for i, name in enumerate(_CATEGORIES)]
    return {**made, "index": index}


def _rating(category: str, *, blocked: bool) -> dict[str, Any]:
    made = {"category": f"HARM_CATEGORY_{category}", "probability": "HIGH" if blocked else "NEGLIGIBLE"}
    return {**made, "blocked": True} if blocked else made


def _finish(choice: Choice) -> str:
    return {"length": "MAX_TOKENS", "content_filter": "SAFETY"}.get(choice.finish, "STOP")


# -- usage -------------------------------------------------------------------------------------------------------


def _usage(reply: Reply, said: int) -> dict[str, Any]:
    """`said` are the candidates' tokens so far; thoughts count beside them, not among them."""
    answer = reply.answer
    prompt, thoughts, hosted = answer.input_tokens, answer.reasoning_tokens, _PER_TOOL * reply.request.hosted
    made: dict[str, Any] = {"promptTokenCount": prompt}
    if said:
        made["candidatesTokenCount"] = said
    made["totalTokenCount"] = prompt + said + thoughts + hosted
    made["promptTokensDetails"] = prompt_details(reply.request.ask, prompt)
    if reply.cached:
        made["cachedContentTokenCount"] = reply.cached
        made["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": reply.cached}]
    if hosted:
        made["toolUsePromptTokenCount"] = hosted
        made["toolUsePromptTokensDetails"] = [{"modality": "TEXT", "tokenCount": hosted}]
    if thoughts:
        made["thoughtsTokenCount"] = thoughts
    return {**made, "serviceTier": "standard"}


def prompt_details(ask: Ask, total: int) -> list[dict[str, Any]]:
    """The prompt's tokens by modality."""
    counts = {"TEXT": total, "IMAGE": 0, "AUDIO": 0, "DOCUMENT": 0}
    for turn in ask.turns:
        for kind, content in turn.blobs:
            if kind == "image":
                counts["IMAGE"] += _IMAGE_LOW if content.startswith("low:") else _IMAGE
            elif kind == "audio":
                counts["AUDIO"] += 1 + len(content) // _AUDIO_CHARACTERS
            else:
                counts["DOCUMENT"] += _FILE
    counts["TEXT"] -= counts["IMAGE"] + counts["AUDIO"] + counts["DOCUMENT"]
    return [{"modality": name, "tokenCount": count} for name, count in counts.items() if count > 0]


# -- parts -------------------------------------------------------------------------------------------------------


def _parts(reply: Reply, choice: Choice, index: int) -> list[dict[str, Any]]:
    """Thoughts, text, calls. A third generation's text is signed too."""
    parts: list[dict[str, Any]] = []
    if choice.reasoning and reply.request.ask.thoughts:
        parts.append({"text": choice.reasoning, "thought": True})
    if choice.text:
        parts.append({"text": choice.text})
        if reply.request.can.demands_signatures and not choice.calls:
            parts[-1]["thoughtSignature"] = _sign(reply, "", index)
    parts.extend(_called(reply, call, index, first=i == 0) for i, call in enumerate(choice.calls))
    return parts


def _called(reply: Reply, call: Call, index: int, *, first: bool) -> dict[str, Any]:
    """A call; of several at once only the first is signed."""
    made: dict[str, Any] = {"name": call.name, "args": _arguments(call)}
    if reply.request.can.names_calls:
        made["id"] = call.id.removeprefix("call_")[:8].lower()
    signs = reply.request.can.demands_signatures or (
        reply.request.can.signs and reply.answer.reasoning_tokens > 0
    )
    if first and signs:
        return {"functionCall": made, "thoughtSignature": _sign(reply, call.name, index)}
    return {"functionCall": made}


def _sign(reply: Reply, function: str, index: int) -> str:
    return signature(function, reply.dice.child(f"signature {index} {function}"))


def _arguments(call: Call) -> dict[str, Any]:
    """The call's arguments; none when the token limit left only half of them."""
    try:
        return cast("dict[str, Any]", msgspec.json.decode(call.arguments))
    except msgspec.DecodeError:
        return {}


# -- streaming ---------------------------------------------------------------------------------------------------

_Step = tuple[list[dict[str, Any]], int, str | None]


def responses(reply: Reply) -> Iterator[Payload]:
    """The stream's responses in order."""
    if _blocked(reply):
        yield Payload("role", encode(_block(reply)))
        return
    said = 0
    first = True
    for row in zip_longest(*(_steps(reply, choice, i) for i, choice in enumerate(reply.answer.choices))):
        for index, step in enumerate(row):
            if step is not None:
                parts, count, finish = cast("_Step", step)
                said += count
                made = _shell(reply, [_candidate(reply, index, parts, finish)], said)
                yield Payload("role" if first else "finish" if finish else "delta", encode(made))
                first = False


def _steps(reply: Reply, choice: Choice, index: int) -> Iterator[_Step]:
    """`(parts, tokens, finish reason)` for each response of one candidate."""
    if choice.reasoning and reply.request.ask.thoughts:
        yield [{"text": choice.reasoning, "thought": True}], 0, None
    pieces = tokens.pieces(choice.text)
    for start in range(0, len(pieces), _PER_CHUNK):
        some = pieces[start : start + _PER_CHUNK]
        yield [{"text": "".join(some)}], len(some), None
    if choice.calls:
        for i, call in enumerate(choice.calls):
            count = 3 + tokens.count(call.name) + tokens.count(call.arguments)
            last = _finish(choice) if i == len(choice.calls) - 1 else None
            yield [_called(reply, call, index, first=i == 0)], count, last
        return
    end: list[dict[str, Any]] = []
    if choice.text:
        end = [{"text": ""}]
        if reply.request.can.demands_signatures:
            end[0]["thoughtSignature"] = _sign(reply, "", index)
    yield end, 0, _finish(choice)
