"""What came back, as an output: a model's reply, and what an app says.

An app answers with a text, or with an object: `output` (a text or any JSON), and optionally `cost` in US dollars,
`usage: {input_tokens, output_tokens}` and `tool_calls: [{id, name, arguments}]`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, cast

import msgspec

from ratchet.dialects.openai_chat import DIALECT
from ratchet.domain.cases import Output
from ratchet.domain.generation import Answer
from ratchet.domain.messages import TextPart, ToolCallPart
from ratchet.domain.usage import Usage
from ratchet.errors import RatchetError
from ratchet.gateway.inside import Reply, error_of

__all__ = ["output_of_app", "output_of_reply"]

_encoder = msgspec.json.Encoder()
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
    """What an app's answer means; what it can't mean is an output with an error."""
    if isinstance(said, Output):
        return said
    if isinstance(said, str):
        return Output(text=said)
    if not isinstance(said, dict):
        return Output(
            error=f"the answer is {type(said).__name__}; expected a text, or an object with `output`"
        )
    try:
        found = msgspec.convert(cast("dict[str, Any]", said), _Said)
        cost = None if found.cost is None else Decimal(str(found.cost))
        if cost is not None and not (cost.is_finite() and cost >= 0):
            return Output(error=f"the answer's cost is {cost}; expected US dollars")
        text = found.output if isinstance(found.output, str) else _encoder.encode(found.output).decode()
    except (msgspec.MsgspecError, TypeError) as error:
        return Output(error=f"the answer can't be read: {error}")
    return Output(
        text=text,
        tool_calls=[ToolCallPart(call.id, call.name, call.arguments) for call in found.tool_calls],
        cost=cost,
        input_tokens=found.usage.input_tokens,
        output_tokens=found.usage.output_tokens,
    )


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
