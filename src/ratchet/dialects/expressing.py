"""What one dialect can't say of what was asked in another: refused by name, never dropped."""

from __future__ import annotations

from typing import Any, cast

from ratchet.domain.generation import HostedTool, Request
from ratchet.domain.messages import (
    Extra,
    GenericPart,
    Message,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
)
from ratchet.errors import InvalidRequest

__all__ = ["HINTS", "cannot_express", "refuse_foreign"]

HINTS = frozenset(
    {
        # price, speed and bookkeeping
        "cache_control",
        "prompt_cache_key",
        "prompt_cache_retention",
        "store",
        "safety_identifier",
        "stream_options",
        "include_obfuscation",
        "speed",
        "diagnostics",
        "eager_input_streaming",
        # what a provider said of its own earlier answer
        "annotations",
        "citations",
        "logprobs",
        "status",
        "phase",
        "id",
        "index",
        "extra_content",
        "caller",
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        # how closely to look at a picture
        "detail",
        # how the request's own dialect wrote down what the form holds anyway: for its own writer alone
        "wire",
    }
)
"""Fields that change what a request costs, how fast it is or how it is filed, and never what the answer may say.

They may be left out where the other dialect has no word for them. So may what is null or empty, under any name: an
app that sends an answer's message back as it got it sends many such fields."""


def cannot_express(field: str, dialect: str, *, because: str = "") -> InvalidRequest:
    """The error for a request that asks for `field`, which the provider's `dialect` has no word for.

    `field` is the neutral form's: `ratchet.dialects.naming` puts it in the app's words. `content[2]` of a message is
    the third of its parts, and `content[2].content[0]` the first of what a tool's result is made of.
    """
    reason = f" {because}" if because else ""
    return InvalidRequest(
        f"{field!r} can't be expressed in {_TITLES.get(dialect, dialect)}, which this model's provider speaks.{reason}",
        "Leave it out, or ask for a model of a provider that knows it.",
        code="not_expressible",
        param=field,
    )


def refuse_foreign(request: Request, dialect: str) -> None:
    """Refuses what only the request's own dialect can say. Raises InvalidRequest, naming the first such thing.

    Writers call this before anything else, when the request came in another dialect than theirs.
    """
    _refuse_extra(request.extra, "", dialect)
    for position, tool in enumerate(request.tools):
        if isinstance(tool, HostedTool):
            raise cannot_express(
                f"tools[{position}] ({tool.kind})",
                dialect,
                because=_FREE_TEXT if tool.kind == "custom" else "It is one of another provider's own tools.",
            )
        _refuse_extra(tool.extra, f"tools[{position}].", dialect)
    for name, holder in (
        ("tool_choice", request.tool_choice),
        ("response_format", request.output),
        ("reasoning", request.thinking),
    ):
        if holder is not None:
            _refuse_extra(holder.extra, f"{name}.", dialect)
    for position, message in enumerate(request.messages):
        _refuse_in_message(message, f"messages[{position}].", dialect)
    _refuse_begun_answer(request, dialect)


def _refuse_begun_answer(request: Request, dialect: str) -> None:
    """Refuses a text of the assistant's at the end, where nothing follows that is to be answered.

    Anthropic's models go on with it, and so do some of Gemini's; OpenAI's answer anew. So it means the same between
    OpenAI's own dialects alone.
    """
    position = next(
        (at for at in reversed(range(len(request.messages))) if _says(request.messages[at])), None
    )
    if position is None or request.messages[position].role != "assistant":
        return
    parts = request.messages[position].parts
    texts = any(isinstance(part, TextPart | RefusalPart) and part.content for part in parts)
    if not texts or any(isinstance(part, ToolCallPart) for part in parts):
        return
    if request.dialect in _ANSWERING and dialect in _ANSWERING:
        return
    reason = "The model would go on with that text. Let the conversation end with what the user says."
    if request.dialect not in _ANSWERING:
        reason = (
            "It begins the answer, and this provider's models don't go on with it, or not all of them do."
        )
    raise cannot_express(f"messages[{position}]", dialect, because=reason)


_ANSWERING = frozenset({"openai_chat", "openai_responses"})


def _says(message: Message) -> bool:
    """Whether the message says anything: some dialects leave out those that don't."""
    return any(not isinstance(part, TextPart | RefusalPart) or part.content for part in message.parts)


def _refuse_in_message(message: Message, where: str, dialect: str) -> None:
    _refuse_extra(message.extra, where, dialect)
    _refuse_in_parts(message.parts, where, dialect)


def _refuse_in_parts(parts: list[Any], where: str, dialect: str) -> None:
    for number, part in enumerate(parts):
        here = f"{where}content[{number}]"
        if isinstance(part, GenericPart):
            raise cannot_express(f"{here} ({part.name})", dialect)
        _refuse_extra(getattr(part, "extra", None), f"{here}.", dialect)
        if isinstance(part, ToolCallResponsePart) and isinstance(part.response, list):
            _refuse_in_parts(cast("list[Any]", part.response), f"{here}.", dialect)


def _refuse_extra(extra: Extra | None, where: str, dialect: str) -> None:
    for name, value in (extra or {}).items():
        empty = _says_nothing(value) and (value is None or name not in _TURNED_ON_BY_BEING_THERE)
        if name in _USUAL and value == _USUAL[name]:
            continue
        if (name not in HINTS or _asks_for_citations(name, value)) and not empty:
            raise cannot_express(where + name, dialect)


def _asks_for_citations(name: str, value: Any) -> bool:
    # A list of citations was part of an earlier answer; an object on a document asks for citations in this one.
    return name == "citations" and isinstance(value, dict) and bool(cast("Extra", value).get("enabled"))


_TURNED_ON_BY_BEING_THERE = frozenset({"web_search_options"})


def _says_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | dict) and not value)


_USUAL = {"modalities": ["text"]}
_FREE_TEXT = "Its input is text of any kind, and tools there are functions, which take a JSON object."


_TITLES = {
    "openai_chat": "OpenAI's chat completions",
    "openai_responses": "OpenAI's responses",
    "openai_embeddings": "OpenAI's embeddings",
    "anthropic": "Anthropic's messages",
    "gemini": "Gemini's generateContent",
    "gemini_embeddings": "Gemini's embeddings",
}
