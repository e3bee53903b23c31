"""The neutral form of a request, written as a Messages request.

A request that was read by this dialect gets back everything it had. Of another dialect's, what Anthropic has no word
for is refused by name; `docs/dialects/anthropic.md` has the tables.
"""

from __future__ import annotations

import re
from typing import Any, cast

import msgspec

from ratchet.dialects.anthropic.blocks import NAME, write_content
from ratchet.dialects.anthropic.identifiers import with_identifiers
from ratchet.dialects.anthropic.models import BUDGETS, Abilities, abilities, effort_of
from ratchet.dialects.checking import EFFORTS
from ratchet.dialects.expressing import cannot_express, refuse_foreign
from ratchet.domain.generation import HostedTool, OutputFormat, Request, Thinking, Tool
from ratchet.domain.messages import Message

__all__ = ["DEFAULT_MAX_TOKENS", "write_request"]

DEFAULT_MAX_TOKENS = 8_192
"""Anthropic wants a bound. Where the app gave none it is this, and as many more as the thinking may take."""
_LEAST_BUDGET = 1_024

_encode = msgspec.json.Encoder().encode
_Fields = dict[str, Any]


def write_request(request: Request) -> bytes:
    """The body for Anthropic. Raises InvalidRequest, naming what can't be expressed."""
    own = request.dialect == NAME
    able = abilities(request.model)
    if not own:
        refuse_foreign(request, NAME)
        _refuse_unsayable(request)
        request = with_identifiers(request)
    system, turns = _turns(request, able, own=own)
    thinking, effort = _own_thinking(request.thinking) if own else _thinking(request, able)
    if not own and thinking is not None and thinking["type"] == "enabled" and _amid_unexplained_calls(turns):
        thinking = None
    body: _Fields = {"model": request.model, "max_tokens": _max_tokens(request, thinking, effort)}
    if system:
        body["system"] = write_content(system.parts, "system.", own=own)
    body["messages"] = turns
    tools = [_tool(tool, own=own) for tool in _offered(request)]
    if tools:
        body["tools"] = tools
    choice = _own_tool_choice(request) if own else _tool_choice(request)
    _put(body, "tool_choice", choice)
    _put(body, "thinking", thinking)
    config: _Fields = {} if effort is None else {"effort": effort}
    if request.output is not None and request.output.kind == "json_schema":
        config["format"] = _format(request.output, own=own)
    if config:
        body["output_config"] = config
    _put(body, "temperature", request.temperature)
    _put(body, "top_p", request.top_p)
    _put(body, "top_k", request.top_k)
    if request.stop or (own and request.stop is not None):
        body["stop_sequences"] = request.stop
    if request.user and (own or not _PERSONAL.search(request.user)):
        body["metadata"] = {"user_id": request.user}
    _put(body, "service_tier", request.service_tier if own else _tier(request.service_tier))
    if request.stream:
        body["stream"] = True
    return _encode(_restored(body, request, own=own))


def _put(body: _Fields, name: str, value: Any) -> None:
    if value is not None:
        body[name] = value


def _restored(body: _Fields, request: Request, *, own: bool) -> _Fields:
    extra = request.extra or {}
    if not own:
        if "cache_control" in extra:
            body["cache_control"] = extra["cache_control"]
        return body
    rest = dict(extra)
    if isinstance(rest.get("output_config"), dict) and "output_config" in body:
        body["output_config"].update(rest.pop("output_config"))
    return body | rest


# what another dialect asks for

# Anthropic takes no e-mail address or telephone number as a user's id.
_PERSONAL = re.compile(r"@|^\+[\d ().-]{7,}$|^.{257}", re.DOTALL)
_TIERS = {"auto": "auto", "default": "standard_only", "priority": "auto"}


def _refuse_unsayable(request: Request) -> None:
    unsayable: list[tuple[str, Any]] = [
        ("seed", request.seed is not None),
        ("presence_penalty", request.presence_penalty),
        ("frequency_penalty", request.frequency_penalty),
        ("n", request.choices is not None and request.choices != 1),
        ("logprobs", request.logprobs),
        ("top_logprobs", request.top_logprobs),
        ("verbosity", request.verbosity not in (None, "medium")),
    ]
    for name, asked in unsayable:
        if asked:
            raise cannot_express(name, NAME)
    if request.temperature is not None and request.temperature > 1:
        raise cannot_express("temperature", NAME, because="It goes from 0 to 1 there.")
    if request.output is not None and request.output.kind == "json":
        reason = "JSON output needs a schema there."
        raise cannot_express("response_format", NAME, because=reason)
    if request.output is not None and request.output.kind == "json_schema" and request.output.schema is None:
        raise cannot_express("response_format", NAME, because="It names a schema and has none.")
    for position, message in enumerate(request.messages):
        if message.name is not None:
            raise cannot_express(f"messages[{position}].name", NAME)


def _tier(tier: str | None) -> str | None:
    if tier is None:
        return None
    if tier not in _TIERS:
        raise cannot_express("service_tier", NAME, because=f"{tier!r} is no tier there.")
    return _TIERS[tier]


def _thinking(request: Request, able: Abilities) -> tuple[_Fields | None, str | None]:
    """(`thinking`, `output_config.effort`) for this model, of what another dialect said."""
    asked = request.thinking
    if asked is None or (asked.mode is None and asked.effort is None and asked.budget is None):
        return None, None
    if asked.effort is not None and asked.effort not in EFFORTS:
        raise cannot_express("reasoning.effort", NAME, because=f"{asked.effort!r} is no effort there.")
    if asked.mode == "off" or asked.effort == "none" or asked.budget == 0:
        return {"type": "disabled"}, None
    told = asked.budget if asked.budget is not None and asked.budget > 0 else None
    shown: _Fields = {} if asked.show is None else {"display": "summarized" if asked.show else "omitted"}
    by_budget = told is not None and asked.effort is None and able.budget
    if able.adaptive and not by_budget:
        effort = asked.effort or (None if told is None else effort_of(told))
        return {"type": "adaptive", **shown}, _known_effort(effort, able)
    if told is None:
        told = BUDGETS[asked.effort or "medium"]
        if request.max_tokens is not None:
            # The effort was the app's, the number is ours: it must leave room for the answer.
            told = min(told, request.max_tokens // 2)
    return {"type": "enabled", "budget_tokens": max(told, _LEAST_BUDGET), **shown}, None


def _amid_unexplained_calls(turns: list[_Fields]) -> bool:
    """Whether these turns end in results of tools, and none of the calls since the user spoke has its thoughts.

    A model that thinks by a budget wants to see the thoughts that led to its calls. An app that dropped them can't be
    helped by a budget that is ours: Anthropic advises to leave thinking out until the user speaks again.
    """
    if not turns or not _kinds(turns[-1]) & {"tool_result"}:
        return False
    spoken = [
        at for at, turn in enumerate(turns) if turn["role"] == "user" and "tool_result" not in _kinds(turn)
    ]
    said = [turn for turn in turns[spoken[-1] if spoken else 0 :] if turn["role"] == "assistant"]
    return not any(_blocks(turn["content"])[0]["type"] in _THOUGHTS for turn in said)


_THOUGHTS = frozenset({"thinking", "redacted_thinking"})


def _kinds(turn: _Fields) -> set[str]:
    return {block["type"] for block in _blocks(turn["content"])}


def _known_effort(effort: str | None, able: Abilities) -> str | None:
    """The model's own word, or the next stronger one that it has."""
    if effort == "minimal":
        return "low"
    if effort == "xhigh" and effort not in able.efforts:
        return "max"
    return effort


def _tool_choice(request: Request) -> _Fields | None:
    choice, alone = request.tool_choice, request.parallel_tool_calls is False
    mode = "auto" if choice is None else choice.mode
    if choice is not None and mode == "allowed":
        mode = "required" if choice.required else "auto"
        if not _allowed(request):
            if choice.required:
                raise cannot_express("tool_choice", NAME, because="It wants a call of one of no tools.")
            mode = "none"
    if not request.tools and mode in ("auto", "none"):
        return None  # says nothing, and Anthropic takes no choice without tools
    if choice is None and not alone:
        return None
    written: _Fields = {"type": _CHOICES[mode]}
    if choice is not None and mode == "tool":
        written["name"] = choice.name
    if alone and mode != "none":
        written["disable_parallel_tool_use"] = True
    return written


_CHOICES = {"auto": "auto", "required": "any", "none": "none", "tool": "tool"}


# the same for every dialect


def _offered(request: Request) -> list[Tool | HostedTool]:
    """The tools; where the model may use only some of them, those: Anthropic knows no other way to say so."""
    choice = request.tool_choice
    if choice is None or choice.mode != "allowed":
        return request.tools
    # Of none, all: a conversation with calls needs their tools, and `tool_choice` says that none may be called.
    return _allowed(request) or request.tools


def _allowed(request: Request) -> list[Tool | HostedTool]:
    names = (request.tool_choice.names if request.tool_choice else None) or []
    return [tool for tool in request.tools if isinstance(tool, Tool) and tool.name in names]


def _max_tokens(request: Request, thinking: _Fields | None, effort: str | None) -> int:
    if request.max_tokens is not None:
        return request.max_tokens
    kind = None if thinking is None else thinking["type"]
    if kind == "adaptive":
        return DEFAULT_MAX_TOKENS + BUDGETS[effort or "high"]
    budget = thinking.get("budget_tokens") if thinking is not None and kind == "enabled" else None
    return DEFAULT_MAX_TOKENS + (budget if isinstance(budget, int) else 0)


def _own_thinking(thinking: Thinking | None) -> tuple[_Fields | None, str | None]:
    if thinking is None:
        return None, None
    if thinking.mode is None:
        return None, thinking.effort
    written: _Fields = {"type": _MODES[thinking.mode]}
    _put(written, "budget_tokens", thinking.budget)
    if thinking.show is not None:
        written["display"] = "summarized" if thinking.show else "omitted"
    return written | (thinking.extra or {}), thinking.effort


_MODES = {"on": "enabled", "adaptive": "adaptive", "off": "disabled"}


def _own_tool_choice(request: Request) -> _Fields | None:
    choice, parallel = request.tool_choice, request.parallel_tool_calls
    if choice is None:
        return None
    written: _Fields = {"type": _CHOICES[choice.mode]}
    _put(written, "name", choice.name)
    if parallel is not None:
        written["disable_parallel_tool_use"] = not parallel
    return written | (choice.extra or {})


def _tool(tool: Tool | HostedTool, *, own: bool) -> _Fields:
    if isinstance(tool, HostedTool):
        return tool.definition
    written: _Fields = {"name": tool.name}
    _put(written, "description", tool.description)
    extra = tool.extra or {}
    if own:
        _put(written, "input_schema", tool.parameters)
        _put(written, "strict", tool.strict)
        return written | extra
    # Anthropic insists on the word.
    written["input_schema"] = _with(tool.parameters or {"properties": {}}, "type", "object")
    if tool.strict:
        written["strict"] = True
    if "cache_control" in extra:
        written["cache_control"] = extra["cache_control"]
    return written


def _format(output: OutputFormat, *, own: bool) -> _Fields:
    schema = _with(output.schema, "description", output.description)
    written: _Fields = {"type": "json_schema", "schema": schema}
    return written | (output.extra or {}) if own else written


def _with(schema: Any, name: str, value: Any) -> Any:
    """The schema, saying that too unless it says something else there."""
    if not isinstance(schema, dict) or name in schema or not value:
        return cast("Any", schema)
    return {name: value, **cast("_Fields", schema)}


def _turns(request: Request, able: Abilities, *, own: bool) -> tuple[Message | None, list[_Fields]]:
    """(what the system says first, the turns after it). Results of tools, and what the user says after them, are one
    turn."""
    leading = 0
    while leading < len(request.messages) and request.messages[leading].role in ("system", "developer"):
        leading += 1
    parts = [part for message in request.messages[:leading] for part in message.parts]
    for position, message in enumerate(() if own else request.messages[:leading]):
        # Only here is it known whose part it is that can't be said: they are written as one.
        write_content(message.parts, f"messages[{position}].", own=own)
    turns: list[_Fields] = []
    after_results = False
    for position, message in enumerate(request.messages[leading:], leading):
        role, turn = _ROLES.get(message.role, message.role), _turn(message, position, own=own)
        if role == "system" and not own and not able.system_later:
            reason = "This model takes what the system says only before the first turn."
            raise cannot_express(f"messages[{position}] ({message.role})", NAME, because=reason)
        if turn is None:
            continue
        if after_results and role == "user":
            _join(turns[-1], turn)
        else:
            turns.append(turn)
        after_results = message.role == "tool"
    return (Message("system", parts) if parts else None), turns


_ROLES = {"tool": "user", "developer": "system"}


def _turn(message: Message, position: int, *, own: bool) -> _Fields | None:
    """None where nothing is left to say: thoughts of another vendor's model, or (of another dialect) no text."""
    content = write_content(message.parts, f"messages[{position}].", own=own)
    said_nothing = own and (content == "" or not message.parts)
    if not content and not said_nothing:
        return None
    turn: _Fields = {"role": _ROLES.get(message.role, message.role), "content": content}
    return turn | (message.extra or {}) if own else turn


def _join(turn: _Fields, more: _Fields) -> None:
    for name, value in more.items():
        turn[name] = _blocks(turn["content"]) + _blocks(value) if name == "content" else value


def _blocks(content: str | list[_Fields]) -> list[_Fields]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
