"""A request in the neutral form, written for a provider that speaks the Responses API.

| asked in another dialect | written |
| --- | --- |
| what the system says first | `instructions`; what it says later: items |
| most output tokens | `max_output_tokens` |
| thinking: an effort, or a budget in tokens | `reasoning.effort`: up to 1,024 low, up to 8,192 medium, else high |
| thoughts that OpenAI signed | `reasoning` items; thoughts of others, and unsigned ones, are left out |
| a tool that does not say whether it is strict | `strict: false`: the API would make it strict |
| that a tool failed, a tool's name beside its result | left out: the result's text and its call's id say it |
| nothing on storing | `store: false`: no app of another dialect can ask for what was stored |
| stop, seed, top_k, penalties, several choices, names of speakers, films, another provider's files | refused, by name |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec

from ratchet.dialects.expressing import cannot_express, refuse_foreign
from ratchet.dialects.openai_responses.reading import call_text
from ratchet.dialects.openai_responses.request import LOGPROBS, OUTPUT_KINDS, PARAMETERS
from ratchet.dialects.openai_responses.words import NAME, rest_of, wire_of
from ratchet.dialects.openai_responses.writing import (
    call_item,
    input_part,
    message_item,
    reasoning_item,
    runs,
)
from ratchet.domain.generation import HostedTool, OutputFormat, Request, Thinking, Tool, ToolChoice
from ratchet.domain.messages import (
    GenericPart,
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
)

__all__ = ["SERVICE_TIERS", "instructions_of", "parameter_fields", "write_request"]

_encoder = msgspec.json.Encoder()
_OUTPUT_TYPES = {kind: wire for wire, kind in OUTPUT_KINDS.items()}
_LOW, _MEDIUM = 1024, 8192  # tokens of thinking
SERVICE_TIERS = {"auto": "auto", "default": "default", "standard": "default", "standard_only": "default", "flex": "flex", "priority": "priority"}  # fmt: skip
# What OpenAI's two dialects say with the same word at the same place.
_SHARED = ("store", "prompt_cache_key", "prompt_cache_retention")
_VENDORS = frozenset({NAME, "openai_chat"})


def write_request(request: Request) -> bytes:
    """The request's JSON. Raises InvalidRequest for what another dialect asked and this one can't say."""
    return _encoder.encode(_request_fields(request))


def _request_fields(request: Request) -> dict[str, Any]:
    _refuse(request)
    own = request.dialect == NAME
    notes = wire_of(request.extra) if own else {}
    instructions = instructions_of(request)
    messages = request.messages if instructions is None else request.messages[1:]
    writing = _Items(own=own, vendor=request.dialect in _VENDORS)
    items = writing.written(messages, len(request.messages) - len(messages))
    body: dict[str, Any] = {"model": request.model}
    if instructions is not None:
        body["instructions"] = instructions
    if items or notes.get("input") != "absent":
        body["input"] = _as_text(items) if notes.get("input") == "text" else items
    if not own:
        body["store"] = False
    body.update(parameter_fields(request))
    if request.stream:
        body["stream"] = True
    elif "stream" in notes:
        body["stream"] = False
    return body


def parameter_fields(request: Request) -> dict[str, Any]:
    """What a request asks beside model, instructions, input and streaming. Refuses nothing."""
    own = request.dialect == NAME
    extra = dict((request.extra if own else None) or {})
    notes = wire_of(extra)
    body: dict[str, Any] = {}
    for name, (field, _) in PARAMETERS.items():
        value = getattr(request, field)
        if value is not None and (own or field != "top_logprobs" or request.logprobs):
            body[notes.get(name, name) if name == "user" else name] = value
    if not own and request.service_tier is not None:
        body["service_tier"] = SERVICE_TIERS.get(request.service_tier, request.service_tier)
    if request.tools:
        body["tools"] = [_tool(tool, own=own) for tool in request.tools]
    if request.tool_choice is not None:
        body["tool_choice"] = _choice(request.tool_choice, own=own)
    computed = {
        "reasoning": _thinking(request.thinking, own=own),
        "text": _text(request.output, request.verbosity, extra, own=own),
        "include": _include(request, notes, own=own),
    }
    body.update({name: value for name, value in computed.items() if value is not None})
    if request.dialect == "openai_chat":
        shared = request.extra or {}
        body.update({name: shared[name] for name in _SHARED if shared.get(name) is not None})
    body.update({name: notes[name] for name in ("background", "truncation") if name in notes})
    return {**body, **rest_of(extra, "wire")}


def _refuse(request: Request) -> None:
    """Raises InvalidRequest, naming the first thing asked that the Responses API has no word for."""
    if request.dialect != NAME:
        refuse_foreign(request, NAME)
        if request.service_tier is not None and request.service_tier not in SERVICE_TIERS:
            raise cannot_express(f"service_tier ({request.service_tier})", NAME)
    for name in ("stop", "seed", "top_k"):
        if getattr(request, name) not in (None, []):
            raise cannot_express(name, NAME)
    for name in ("presence_penalty", "frequency_penalty"):
        if getattr(request, name):
            raise cannot_express(name, NAME)
    if request.choices not in (None, 1):
        raise cannot_express("n", NAME, because="An answer holds one choice.")
    for number, message in enumerate(request.messages):
        if message.name:
            raise cannot_express(f"messages[{number}].name", NAME)


def instructions_of(request: Request) -> str | None:
    """What the system says first, where it is a text and nothing more: then it is no item."""
    own = request.dialect == NAME
    first = request.messages[0] if request.messages else None
    if first is None or first.role != "system" or len(first.parts) != 1:
        return None
    part = first.parts[0]
    if not isinstance(part, TextPart) or (own and (first.extra or part.extra)):
        return None
    return None if own and "instructions" in wire_of(request.extra) else part.content


def _as_text(items: list[dict[str, Any]]) -> Any:
    """`input` as the text it was, if it is one still."""
    one = items[0] if len(items) == 1 else {}
    return one["content"] if one.keys() == {"role", "content"} and isinstance(one["content"], str) else items


class _Items:
    """Items being written, and which calls that came without an id still wait for their results."""

    def __init__(self, *, own: bool, vendor: bool) -> None:
        self._own, self._vendor = own, vendor
        self._nameless: list[tuple[str, str]] = []  # (tool, id made up)
        self._made = 0
        self._items: list[Any] = []

    def written(self, messages: Sequence[Message], before: int) -> list[Any]:
        """`before`: how many messages of the request stand before these."""
        for number, message in enumerate(messages, before):
            where = f"messages[{number}]"
            if message.role == "assistant":
                self._assistant(message, where)
                continue
            others: list[tuple[str, Part]] = []
            for place, part in enumerate(message.parts):
                if isinstance(part, ToolCallResponsePart):
                    self._result(part, f"{where}.content[{place}]")
                else:
                    others.append((f"{where}.content[{place}]", part))
            if message.role == "tool":
                self._items += [part.value for _, part in others if isinstance(part, GenericPart)]
            elif others or not message.parts:
                self._items.append(self._spoken(message, others))
        return self._items

    def _spoken(self, message: Message, parts: Sequence[tuple[str, Part]]) -> dict[str, Any]:
        extra = (message.extra if self._own else None) or {}
        wire = wire_of(extra)
        content: Any = self._content(parts)
        only = parts[0][1] if len(parts) == 1 else None
        if isinstance(only, TextPart) and not wire.get("list") and len(content[0]) == 2:
            content = only.content
        typed = {"type": "message"} if wire.get("type") else {}
        return {**typed, "role": message.role, "content": content, **rest_of(extra, "wire")}

    def _content(self, parts: Sequence[tuple[str, Part]]) -> list[dict[str, Any]]:
        """`parts`, each with its name in errors."""
        return [input_part(part, where, own=self._own, vendor=self._vendor) for where, part in parts]

    def _assistant(self, message: Message, where: str) -> None:
        if not message.parts:
            self._items.append({"role": "assistant", "content": ""})
        place = -1
        for run in runs(message.parts, own=self._own):
            part, place = run[-1], place + len(run)
            match part:
                case TextPart() | RefusalPart():
                    self._items.append(message_item(run, own=self._own))
                case ReasoningPart():
                    if self._takes_back(part):
                        self._items.append(reasoning_item(run, own=self._own))
                case ToolCallPart():
                    self._items.append(call_item(part, part.id or self._made_up(part.name), own=self._own))
                case GenericPart(value=value) if self._own:
                    self._items.append(value)
                case _:
                    kind = getattr(part, "modality", "") or type(part).__name__
                    raise cannot_express(
                        f"{where}.content[{place}] ({kind})",
                        NAME,
                        because="An assistant's turn takes text, thoughts and calls.",
                    )

    def _takes_back(self, thought: ReasoningPart) -> bool:
        """Whether OpenAI can check it. What it told by an id alone, it stores."""
        if thought.origin is None:
            return self._own and "unsigned" not in wire_of(thought.extra)
        return thought.origin == NAME and bool(self._own or thought.signature)

    def _made_up(self, tool: str) -> str:
        self._made += 1
        self._nameless.append((tool, f"call_{self._made}"))
        return f"call_{self._made}"

    def _result(self, part: ToolCallResponsePart, where: str) -> None:
        extra = (part.extra if self._own else None) or {}
        response: Any = part.response
        if isinstance(response, list):
            entries = cast("list[Part]", response)
            response = self._content(
                [(f"{where}.content[{number}]", part) for number, part in enumerate(entries)]
            )
        elif response is None:
            response = ""
        elif not isinstance(response, str):
            response = call_text(response)
        self._items.append(
            {
                "type": extra.get("type", "function_call_output"),
                "call_id": part.id or self._waiting(part.name),
                "output": response,
                **rest_of(extra, "type", "wire"),
            }
        )

    def _waiting(self, name: str | None) -> str:
        """The id of the earliest call without one that this result can belong to."""
        for place, (tool, known) in enumerate(self._nameless):
            if name is None or tool == name:
                del self._nameless[place]
                return known
        self._made += 1
        return f"call_{self._made}"


def _said(holder: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(holder, name) for name in names if getattr(holder, name) is not None}


def _tool(tool: Tool | HostedTool, *, own: bool) -> dict[str, Any]:
    if isinstance(tool, HostedTool):
        return tool.definition
    if own:
        known = _said(tool, "name", "description", "parameters", "strict")
        return {"type": "function", **known, **rest_of(tool.extra or {}, "wire")}
    known = _said(tool, "name", "description")
    parameters: Any = tool.parameters or {"type": "object", "properties": {}}
    return {"type": "function", **known, "parameters": parameters, "strict": tool.strict or False}


def _choice(choice: ToolChoice, *, own: bool) -> Any:
    if own and choice.extra:
        return choice.extra
    if choice.mode == "tool":
        return {"type": "function", "name": choice.name}
    if choice.mode == "allowed":
        tools = [{"type": "function", "name": name} for name in choice.names or ()]
        return {"type": "allowed_tools", "mode": "required" if choice.required else "auto", "tools": tools}
    return choice.mode


def _thinking(thinking: Thinking | None, *, own: bool) -> dict[str, Any] | None:
    if thinking is None:
        return None
    extra = (thinking.extra if own else None) or {}
    notes = wire_of(extra)
    said: dict[str, Any] = {}
    effort = _effort(thinking)
    if effort is not None:
        said["effort"] = effort
    if thinking.show and not ("summary" in notes or "generate_summary" in notes):
        said["summary"] = "auto"
    said.update(
        {name: value for name, value in notes.items() if thinking.show or not name.endswith("summary")}
    )
    said.update(rest_of(extra, "wire"))
    return said if said or own else None


def _effort(thinking: Thinking) -> str | None:
    if thinking.mode == "off" or thinking.budget == 0:
        return "none"
    if thinking.effort is not None:
        return thinking.effort
    if thinking.budget is not None and thinking.budget > 0:
        return "low" if thinking.budget <= _LOW else "medium" if thinking.budget <= _MEDIUM else "high"
    return None  # the model decides, as it does anyway


def _text(
    output: OutputFormat | None, verbosity: str | None, extra: dict[str, Any], *, own: bool
) -> dict[str, Any] | None:
    """`text`. What else was said there is taken out of `extra`; something that is no object stays in it."""
    more: Any = extra.get("text")
    said: dict[str, Any] = {}
    if output is not None:
        known = (
            _said(output, "name", "description", "schema", "strict") if output.kind == "json_schema" else {}
        )
        if output.kind == "json_schema" and not own:
            known = {"name": "output", "schema": {"type": "object"}, **known}
        rest = rest_of(output.extra or {}, "wire") if own else {}
        said["format"] = {"type": _OUTPUT_TYPES[output.kind], **known, **rest}
    if verbosity is not None:
        said["verbosity"] = verbosity
    if isinstance(more, dict):
        return {**said, **extra.pop("text")}
    return said or None


def _include(request: Request, notes: dict[str, Any], *, own: bool) -> list[Any] | None:
    include = notes.get("include")
    if include is None and request.logprobs:
        include = [LOGPROBS]
    if own or not _thinks(request):
        return include
    # Nothing is stored, so a thought can only come back with the next turn if it is given out whole.
    return [*(include or ()), "reasoning.encrypted_content"]


def _thinks(request: Request) -> bool:
    if request.thinking is not None and _effort(request.thinking) not in (None, "none"):
        return True
    return any(
        isinstance(part, ReasoningPart) and part.origin == NAME
        for message in request.messages
        for part in message.parts
    )
