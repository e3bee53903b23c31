"""A case: one thing to ask, and what is known about a good answer. What was answered, and how it was judged."""

from __future__ import annotations

import hashlib
import math
from decimal import Decimal
from typing import Any, cast

import msgspec

from ratchet.domain.messages import ToolCallPart

__all__ = ["UNSCORED", "Case", "Output", "Verdict", "as_utf8", "content_hash", "text_of_input"]

UNSCORED = math.nan


class Case(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`input` is a text, a list of messages in OpenAI's chat form, or an object of variables for a prompt.

    `source` says what the case was drawn from (a user, a session, a document): cases of one source are not
    independent, and intervals are computed by source. "" makes the case a source of its own.
    """

    id: str
    input: Any
    reference: Any = None  # a text, or JSON
    previous_answer: str = ""  # what production answered when this became a case
    feedback: str = ""  # what a person said about that answer
    context: str = ""  # what an answer may rely on, where the case is closed-domain
    metadata: dict[str, str] = {}
    tags: list[str] = []
    source: str = ""
    trace_id: str = ""  # the span it came from
    span_id: str = ""
    origin: str = "hand"  # hand | file | trace | feedback | playground | synthetic
    accepted: bool = True  # False: written by a model, and no person has looked at it yet
    reference_by: str = ""  # the model that wrote the reference; "" where a person did
    split: str = ""  # "" | train | dev | test


def content_hash(case: Case) -> str:
    """64 hex digits of everything that the case says but its id. A field that is added later changes none of them."""
    said = {
        name: value
        for name in Case.__struct_fields__
        if name != "id" and (value := getattr(case, name)) != getattr(_SAYS_NOTHING, name)
    }
    return hashlib.sha256(msgspec.json.encode(said, order="sorted")).hexdigest()


_SAYS_NOTHING = Case(id="", input=None)


def text_of_input(value: Any, *, instructions: bool = True) -> str:
    """What a case asks or expects as one text: messages, variables and other parts each a paragraph, no text as JSON.

    Without `instructions`, system and developer messages are left out: what every case of an app begins with.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        kept = [one for one in cast("list[Any]", value) if instructions or not _instructs(one)]
        return "\n\n".join(filter(None, (_content_text(_content(one)) for one in kept)))
    if isinstance(value, dict):
        return "\n\n".join(filter(None, map(_content_text, cast("dict[str, Any]", value).values())))
    return _content_text(value)


def _instructs(message: Any) -> bool:
    return isinstance(message, dict) and cast("Any", message).get("role") in ("system", "developer")


def _content(message: Any) -> Any:
    """What a message says; anything that is no message says itself."""
    if isinstance(message, dict) and "role" in message:
        return cast("Any", message).get("content")
    return cast("Any", message)


def _content_text(value: Any) -> str:
    """A message's content or a variable's value: its text, or the texts of its parts, or JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        parts = cast("list[Any]", value)
        texts = [cast("dict[str, Any]", one).get("text") for one in parts if isinstance(one, dict)]
        if texts and len(texts) == len(parts) and all(isinstance(text, str) for text in texts):
            return "\n".join(cast("list[str]", texts))
    return msgspec.json.encode(value, enc_hook=str).decode()


def as_utf8(text: str) -> str:
    """The text as it can be written down: half a surrogate pair, which no UTF-8 holds, becomes �."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class Output(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """What a candidate answered to a case. `error` is "" where it answered at all.

    `latency` and `time_to_first_token` in seconds; `cost` in US dollars, None where unknown.
    """

    text: str = ""
    tool_calls: list[ToolCallPart] = []
    error: str = ""
    latency: float | None = None
    time_to_first_token: float | None = None
    cost: Decimal | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    trace_id: str = ""
    span_id: str = ""


class Verdict(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One scorer's judgement of one output. NaN is unscored, never zero; `comment` then says why.

    `value` is better when it is larger, unless the scorer's metadata says otherwise. `label` is a class, such as a
    judge's choice or a predicted category.
    """

    name: str
    value: float = UNSCORED
    label: str = ""
    comment: str = ""  # a judge's reasoning, or what a check found
    attributes: dict[str, str] = {}

    @property
    def scored(self) -> bool:
        return not math.isnan(self.value)
