"""What came back, as an output: a model's reply, and what an app says.

An app answers with a text, or with an object: `output` (a text or any JSON), and optionally `cost` in US dollars,
`usage: {input_tokens, output_tokens}` and `tool_calls: [{id, name, arguments}]`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, cast

import msgspec

from ratchet.dialects.openai_chat import DIALECT
from ratchet.domain.cases import Output, as_utf8
from ratchet.domain.generation import Answer
from ratchet.domain.messages import TextPart, ToolCallPart
from ratchet.domain.usage import Usage
from ratchet.errors import RatchetError
from ratchet.gateway.inside import Reply, error_of

__all__ = ["output_of_app", "output_of_reply"]

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Output)
_UNKNOWN = Usage()
_Count = Annotated[int, msgspec.Meta(ge=0)]


class _Counts(msgspec.Struct, frozen=True):
    input_tokens: _Count | None = None
    output_tokens: _Count | None = None


class _Call(msgspec.Struct, frozen=True):
    name: str
    id: str | None = None
    arguments: Any = None


class _Said(msgspec.Struct, frozen=True):
    """An app's own answer, as an object."""

    output: Any
    cost: Decimal | float | None = None
    usage: _Counts = _Counts()
    tool_calls: list[_Call] = []


def output_of_app(said: Any) -> Output:
    """What an app's answer means; what it can't mean, or what can't be written down, is an output with an error."""
    found = _meant(said)
    try:
        found = _decoder.decode(_encoder.encode(found))
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError) as error:
        return Output(error=f"the answer can't be read: {error}")
    if found.cost is not None and not (found.cost.is_finite() and found.cost >= 0):
        return Output(error=f"the answer's cost is {found.cost}; expected US dollars")
    return found


def _meant(said: Any) -> Output:
    if isinstance(said, Output):
        return msgspec.structs.replace(said, text=_text(said.text), error=_text(said.error))
    if isinstance(said, str):
        return Output(text=as_utf8(said))
    if not isinstance(said, dict):
        return Output(
            error=f"the answer is {type(said).__name__}; expected a text, or an object with `output`"
        )
    try:
        found = msgspec.convert(cast("dict[str, Any]", said), _Said)
        text = (
            _text(found.output) if isinstance(found.output, str) else _encoder.encode(found.output).decode()
        )
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError) as error:
        return Output(error=f"the answer can't be read: {error}")
    return Output(
        text=text,
        tool_calls=[ToolCallPart(call.id, call.name, call.arguments) for call in found.tool_calls],
        cost=None if found.cost is None else Decimal(str(found.cost)),
        input_tokens=found.usage.input_tokens,
        output_tokens=found.usage.output_tokens,
    )


def _text(said: Any) -> Any:
    return as_utf8(said) if isinstance(said, str) else said


def output_of_reply(reply: Reply, name: str) -> Output:
    """A reply in OpenAI's chat dialect; `name` is the candidate's, for errors. Of several choices the first counts."""
    took = Output(
        latency=reply.latency or None,
        time_to_first_token=reply.time_to_first_token,
        cost=reply.cost,
        trace_id=reply.trace_id,
        span_id=reply.span_id,
    )
    if reply.error or reply.status >= 400:
        return msgspec.structs.replace(took, error=error_of(reply, model=name).message)
    try:
        answer: Answer = DIALECT.read_answer(reply.body)
    except RatchetError as error:
        return msgspec.structs.replace(took, error=error.message)
    usage = reply.usage if reply.usage != _UNKNOWN else answer.usage
    parts = answer.choices[0].parts if answer.choices else []
    return msgspec.structs.replace(
        took,
        text="".join(part.content for part in parts if isinstance(part, TextPart)),
        tool_calls=[part for part in parts if isinstance(part, ToolCallPart)],
        input_tokens=usage.input,
        output_tokens=usage.output,
    )
