"""A span of any generation of conventions, read through the alias table into its columns.

Read: OpenTelemetry GenAI v1.41.1 and what it replaced, OpenInference, OpenLLMetry, Langfuse. Written (by `otlp`):
v1.41.1. Where several names say the same thing, the first in the table wins; one that loses and says something else
stays among the attributes, like everything that the table doesn't know. Nothing is dropped.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, cast

import msgspec

from ratchet.dialects.openai_chat.content import parameters_of
from ratchet.domain.messages import Message
from ratchet.domain.spans import Span
from ratchet.telemetry.aliases import (
    FAMILIES,
    KEPT,
    OPENINFERENCE_FAMILIES,
    RENAMED,
    RULES,
    Reader,
    attribute_text,
    json_value,
)
from ratchet.telemetry.conversations import (
    event_messages,
    flattened_messages,
    flattened_tools,
    is_message_event,
    messages_of_value,
    openinference_messages,
    tool_messages,
    valid_messages,
)
from ratchet.telemetry.spans import input_preview, json_text, output_preview

__all__ = ["RawSpan", "Resource", "span_of"]


class RawSpan(msgspec.Struct, kw_only=True, gc=False):
    """A span as it came, its attributes plain Python values. Times in nanoseconds since the epoch."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int  # OTLP's numbers: 1 internal, 2 server, 3 client, 4 producer, 5 consumer
    start: int
    end: int
    status: int  # 0 unset, 1 ok, 2 error
    message: str
    attributes: dict[str, Any]
    events: list[tuple[int, str, dict[str, Any]]]
    links: list[dict[str, Any]]


class Resource(msgspec.Struct, frozen=True):
    """What many spans share: who sent them."""

    service: str
    version: str
    attributes: dict[str, str]  # as text, less service.name

    @classmethod
    def of(cls, attributes: dict[str, Any]) -> Resource:
        text = {name: attribute_text(value) for name, value in attributes.items()}
        return cls(text.pop("service.name", ""), text.get("service.version", ""), text)


_KINDS = ("internal", "internal", "server", "client", "producer", "consumer")
_STATUSES = ("unset", "ok", "error")


_OLDER = frozenset({*RENAMED, "llm.invocation_parameters"})


class _Found:
    """The columns of one span while it is read: the best value for each, and whatever is left over."""

    __slots__ = ("columns", "families", "left", "ranks", "sources")

    def __init__(self, attributes: dict[str, Any]) -> None:
        self.columns: dict[str, Any] = {}
        self.ranks: dict[str, int] = {}
        self.sources: dict[str, str] = {}
        self.left: dict[str, str] = {}
        self.families: dict[str, dict[str, Any]] = {}
        for name, value in attributes.items():
            rule = RULES.get(name)
            if rule is not None:
                self._take(name, value, rule)
            elif not (name.startswith(FAMILIES) and self._gather(name, value)):
                self.left[name] = value if isinstance(value, str) else attribute_text(value)
                if name in _OLDER:
                    self._rename(name)
        for name, family in self.families.items():
            self._take(name, family, RULES[name])

    def _take(self, name: str, value: Any, rule: tuple[str, int, Reader]) -> None:
        column, rank, read = rule
        family = name in self.families
        read_value = value if family else read(value)
        if read_value is None:
            self._leave(name, value)
            return
        held = self.ranks.get(column)
        if held is None or rank < held:
            if held is not None:
                self._displace(column, read_value)
            self.ranks[column], self.columns[column], self.sources[column] = rank, read_value, name
        elif not _same(self.columns[column], read_value):
            self._leave(name, value)
        if name in KEPT:
            self._leave(name, value)

    def _rename(self, name: str) -> None:
        """Give a request's parameters their present names."""
        if name in RENAMED:
            self.left.setdefault(RENAMED[name], self.left.pop(name))
            return
        parameters = json_value(self.left[name])  # llm.invocation_parameters: all of them in one JSON text
        if isinstance(parameters, dict):
            del self.left[name]
            for parameter, text in parameters_of(cast("dict[str, Any]", parameters)).items():
                self.left.setdefault(parameter, text)

    def _displace(self, column: str, better: Any) -> None:
        worse = self.columns[column]
        if not _same(worse, better):
            self._leave(self.sources[column], worse)

    def _leave(self, name: str, value: Any) -> None:
        family = self.families.get(name)
        if family is None or value is not family:
            self.left.setdefault(name, str(value) if isinstance(value, Decimal) else attribute_text(value))
            return
        for key, leaf in family.items():
            self.left[f"{name}.{key}"] = attribute_text(leaf)

    def _gather(self, name: str, value: Any) -> bool:
        for prefix in FAMILIES:
            if name.startswith(prefix):
                key = name[len(prefix) :]
                if key[:1].isdecimal():
                    self.families.setdefault(prefix[:-1], {})[key] = value
                    return True
        return False


def span_of(raw: RawSpan, resource: Resource, *, project_id: str, key_id: str, received: int) -> Span:
    """The span in its columns. `received` stands in for a start that wasn't given. Never raises."""
    found = _Found(raw.attributes)
    columns = found.columns
    start = raw.start or received
    moment = columns.pop("first_token_at", None)
    if moment is not None and moment >= start:
        columns.setdefault("time_to_first_token", moment - start)
    cost = columns.pop("cost_details", None)
    if cost is not None:
        columns.setdefault("cost", cost)
    asked, answered, asked_text, answered_text, events = _conversation(raw, found)
    definitions = columns.pop("tool_definitions", None)
    if isinstance(definitions, dict):  # a family
        definitions = flattened_tools(cast("dict[str, Any]", definitions))
    if not columns.get("finish_reasons"):
        columns["finish_reasons"] = [message.finish_reason for message in answered if message.finish_reason]
    if not columns.get("app_version"):
        columns["app_version"] = resource.version
    status, error_message = _status(raw, found)
    return Span(
        project_id=project_id,
        key_id=key_id,
        trace_id=raw.trace_id,
        span_id=raw.span_id,
        parent_id=raw.parent_id,
        name=raw.name,
        kind=_KINDS[raw.kind] if 0 <= raw.kind < len(_KINDS) else "internal",
        service=resource.service,
        start=start,
        duration=max(raw.end - start, 0),
        status=status,
        error_message=error_message,
        input_messages=asked_text or json_text(asked),
        output_messages=answered_text or json_text(answered),
        tool_definitions=json_text(definitions or []),
        input_preview=input_preview(asked) if asked else "",
        output_preview=output_preview(answered) if answered else "",
        attributes=found.left,
        resource=resource.attributes,
        events=json_text([{"time": time, "name": name, "attributes": given} for time, name, given in events]),
        links=json_text(raw.links),
        **columns,
    )


def _status(raw: RawSpan, found: _Found) -> tuple[str, str]:
    """Status and error message; the error's type goes into its column."""
    columns, left = found.columns, found.left
    status = _STATUSES[raw.status] if 0 <= raw.status < len(_STATUSES) else "unset"
    message = raw.message
    if columns.get("error_type") or left.get("langfuse.observation.level") == "ERROR":
        status = "error"
    if status == "error":
        for _, name, given in raw.events:
            if name == "exception":
                columns.setdefault("error_type", attribute_text(given.get("exception.type", "")))
                message = message or attribute_text(given.get("exception.message", ""))
        message = message or left.get("langfuse.observation.status_message", "")
    return status, message


def _conversation(
    raw: RawSpan, found: _Found
) -> tuple[list[Message], list[Message], str, str, list[tuple[int, str, dict[str, Any]]]]:
    """Input and output messages, their JSON where it is stored as it came, and the events that are left."""
    columns = found.columns
    asked_raw, answered_raw = columns.pop("asked", None), columns.pop("answered", None)
    instructions = columns.pop("system_instructions", None)
    events = raw.events
    sources = found.sources
    if columns.get("operation") == "execute_tool" or sources.get("asked") == "gen_ai.tool.call.arguments":
        left = found.left
        name = left.get("gen_ai.tool.name") or left.get("tool.name") or left.get("traceloop.entity.name")
        call_id = left.get("gen_ai.tool.call.id") or left.get("tool.id")
        asked, answered = tool_messages(name or raw.name, call_id, asked_raw, answered_raw)
        return asked, answered, "", "", events
    asked, asked_text = _read(asked_raw, found.sources.get("asked"), "input")
    answered, answered_text = _read(answered_raw, found.sources.get("answered"), "output")
    if events and any(is_message_event(name) for _, name, _ in events):
        # In what the events say is all that was said, in order; it gives way to better sources only.
        said = event_messages([(name, given) for _, name, given in events if is_message_event(name)])
        if not asked and said[0]:
            asked, asked_text = said[0], ""
        if not answered and said[1]:
            answered, answered_text = said[1], ""
        if asked == said[0] and answered == said[1]:
            events = [event for event in events if not is_message_event(event[1])]
    if instructions is not None:
        system = messages_of_value(instructions, "input")
        asked = [Message("system", [part for message in system for part in message.parts]), *asked]
        asked_text = ""
    return asked, answered, asked_text, answered_text, events


def _read(value: Any, source: str | None, side: Any) -> tuple[list[Message], str]:
    """The messages, and their JSON where it can be stored word for word."""
    if value is None:
        return [], ""
    if isinstance(value, str) and source in ("gen_ai.input.messages", "gen_ai.output.messages"):
        messages = valid_messages(value)
        if messages is not None:
            return messages, value if messages else ""
    if isinstance(value, dict) and source in OPENINFERENCE_FAMILIES:
        return openinference_messages(cast("dict[str, Any]", value), side), ""
    if isinstance(value, dict) and source in ("gen_ai.prompt", "gen_ai.completion"):
        return flattened_messages(cast("dict[str, Any]", value), side), ""
    return messages_of_value(value, side), ""


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Decimal) and isinstance(other, Decimal):
        return float(one) == float(other)  # the one that is exact may have been written as a float too
    return type(one) is type(other) and one == other
