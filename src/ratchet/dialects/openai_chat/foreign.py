"""A request that an app made in another dialect, for a provider that speaks chat completions.

| asked | written |
| --- | --- |
| most output tokens | `max_completion_tokens`; `max_tokens` for a look-alike: not all of them know the newer word |
| thinking: an effort, or a budget in tokens | `reasoning_effort`: up to 1,024 low, up to 8,192 medium, else high |
| thoughts that another vendor's model signed | left out: only that vendor can check them |
| pictures and documents in a tool's result | in a user's message after the results: a tool's message takes text alone |
| that a tool failed | left out: the result's text has to say it |
| top_k, a file at another provider, a provider's own tools, films | refused, by name |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from ratchet.dialects.expressing import cannot_express, refuse_foreign
from ratchet.dialects.openai_chat.thoughts import NAME, write_thoughts
from ratchet.dialects.openai_chat.writing import arguments_text, write_call, write_foreign_part
from ratchet.domain.generation import HostedTool, OutputFormat, Request, Thinking, ToolChoice
from ratchet.domain.messages import (
    Message,
    Part,
    ReasoningPart,
    RefusalPart,
    TextPart,
    ToolCallPart,
    ToolCallResponsePart,
)

__all__ = ["write_foreign_request"]

_SAME = (  # what is said with the same word and means the same
    "parallel_tool_calls",
    "temperature",
    "top_p",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logprobs",
    "top_logprobs",
    "stop",
    "user",
)
# Other dialects' words for how fast an answer shall come, in this one's.
_TIERS = {"auto": "auto", "default": "default", "standard": "default", "standard_only": "default", "flex": "flex", "priority": "priority"}  # fmt: skip
_LOW, _MEDIUM = 1024, 8192  # tokens of thinking


def write_foreign_request(request: Request, *, output_limit: str) -> dict[str, Any]:
    """The body. `output_limit` is the field that bounds the output. Raises InvalidRequest for what this dialect has no word for."""
    refuse_foreign(request, NAME)
    if request.top_k is not None:
        raise cannot_express("top_k", NAME)
    body: dict[str, Any] = {"model": request.model, "messages": _Messages().written(request.messages)}
    for name in _SAME:
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    if request.max_tokens is not None:
        body[output_limit] = request.max_tokens
    if request.verbosity not in (
        None,
        "medium",
    ):  # look-alikes don't know the word, so it has to say something
        body["verbosity"] = request.verbosity
    if request.choices is not None and request.choices != 1:
        body["n"] = request.choices
    if request.service_tier is not None:
        if request.service_tier not in _TIERS:
            raise cannot_express(f"service_tier ({request.service_tier})", NAME)
        body["service_tier"] = _TIERS[request.service_tier]
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools if not isinstance(tool, HostedTool)]
    if request.tool_choice is not None:
        body["tool_choice"] = _choice(request.tool_choice)
    if request.output is not None:
        body["response_format"] = _output(request.output)
    effort = _effort(request.thinking)
    if effort is not None:
        body["reasoning_effort"] = effort
    if request.stream:
        body["stream"] = True
        if request.include_usage:
            body["stream_options"] = {"include_usage": True}
    return body


def _tool(tool: Any) -> dict[str, Any]:
    said = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": tool.strict,
    }
    return {
        "type": "function",
        "function": {name: value for name, value in said.items() if value is not None},
    }


def _choice(choice: ToolChoice) -> Any:
    if choice.mode == "tool":
        return {"type": "function", "function": {"name": choice.name}}
    if choice.mode == "allowed":
        tools = [{"type": "function", "function": {"name": name}} for name in choice.names or ()]
        mode = "required" if choice.required else "auto"
        return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}
    return choice.mode


def _output(output: OutputFormat) -> dict[str, Any]:
    if output.kind == "json":
        return {"type": "json_object"}
    if output.kind != "json_schema":
        return {"type": "text"}
    said = {"description": output.description, "schema": output.schema, "strict": output.strict}
    given = {name: value for name, value in said.items() if value is not None}
    return {"type": "json_schema", "json_schema": {"name": output.name or "output", **given}}


def _effort(thinking: Thinking | None) -> str | None:
    if thinking is None:
        return None
    if thinking.mode == "off" or thinking.budget == 0:
        return "none"
    if thinking.effort is not None:
        return "xhigh" if thinking.effort == "max" else thinking.effort
    if thinking.budget is not None and thinking.budget > 0:
        return "low" if thinking.budget <= _LOW else "medium" if thinking.budget <= _MEDIUM else "high"
    return None  # the model decides, as it does anyway


_Named = tuple[str, Part]  # a part, and before it its name in errors


class _Messages:
    """Messages being written: which calls still wait for their results, which pictures for the results' end."""

    def __init__(self) -> None:
        self._nameless: list[tuple[str, str]] = []  # (tool, id made up) of calls that came without one
        self._made = 0
        self._shown: list[dict[str, Any]] = []
        self._bodies: list[dict[str, Any]] = []

    def written(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        for number, message in enumerate(messages):
            where = f"messages[{number}]"
            others: list[_Named] = []
            for place, part in enumerate(message.parts):
                if isinstance(part, ToolCallResponsePart):
                    self._result(part, f"{where}.content[{place}]")
                else:
                    others.append((f"{where}.content[{place}]", part))
            if others or not message.parts:
                self._show()
                self._bodies.append(self._message(message, others))
        self._show()
        return self._bodies

    def _message(self, message: Message, parts: list[_Named]) -> dict[str, Any]:
        named = {} if message.name is None else {"name": message.name}
        if message.role != "assistant":
            return {"role": message.role, **named, "content": self._content(parts)}
        thoughts = [
            part
            for _, part in parts
            if isinstance(part, ReasoningPart) and (not part.signature or part.origin == NAME)
        ]
        calls = [self._call(part) for _, part in parts if isinstance(part, ToolCallPart)]
        content = self._content(
            [named for named in parts if not isinstance(named[1], ReasoningPart | ToolCallPart)],
            only=(TextPart, RefusalPart),
        )
        body: dict[str, Any] = {"role": "assistant", **named, **write_thoughts(_plain(thoughts))}
        body["content"] = None if calls and not content else content
        if calls:
            body["tool_calls"] = calls
        return body

    def _content(self, parts: list[_Named], *, only: tuple[type, ...] = ()) -> Any:
        first = parts[0][1] if len(parts) == 1 else None
        if isinstance(first, TextPart):
            return first.content
        for where, part in parts:
            if only and not isinstance(part, only):
                raise cannot_express(where, NAME, because="An assistant's turn takes text.")
        return [write_foreign_part(part, where) for where, part in parts] or ""

    def _call(self, part: ToolCallPart) -> dict[str, Any]:
        known = part.id
        if not known:
            self._made += 1
            known = f"call_{self._made}"
            self._nameless.append((part.name, known))
        signature = part.signature if part.origin == NAME else None
        arguments = arguments_text(part.arguments) if part.arguments not in (None, "") else "{}"
        return write_call(ToolCallPart(known, part.name, arguments, signature, part.origin))

    def _result(self, part: ToolCallResponsePart, where: str) -> None:
        known = part.id or self._waiting(part.name)
        response: Any = part.response
        if isinstance(response, list):
            entries = cast("list[Any]", response)
            texts = [entry.content for entry in entries if isinstance(entry, TextPart)]
            shown = [
                write_foreign_part(entry, f"{where}.content[{number}]")
                for number, entry in enumerate(entries)
                if not isinstance(entry, TextPart)
            ]
            response = "\n".join(texts)
            if shown:
                response = response or "The result follows."
                self._shown += [{"type": "text", "text": f"Result of the tool call {known}:"}, *shown]
        elif response is None:
            response = ""
        elif not isinstance(response, str):
            response = arguments_text(response)
        self._bodies.append({"role": "tool", "tool_call_id": known, "content": response})

    def _waiting(self, name: str | None) -> str:
        """The id of the earliest call without one that this result can belong to."""
        for place, (tool, known) in enumerate(self._nameless):
            if name is None or tool == name:
                del self._nameless[place]
                return known
        self._made += 1
        return f"call_{self._made}"

    def _show(self) -> None:
        """Pictures and documents of the results before: all results stand together, so only now."""
        if self._shown:
            self._bodies.append({"role": "user", "content": self._shown})
            self._shown = []


def _plain(thoughts: list[ReasoningPart]) -> list[ReasoningPart]:
    """How another dialect wrote them down is no matter here."""
    return [ReasoningPart(part.content, part.signature, part.origin) for part in thoughts]
