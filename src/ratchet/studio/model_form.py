"""A form made from a settings model: a field for each of its fields, whatever they are. Pure.

What is typed goes back into the settings as a file would say it; an empty field is left out, so that the default
applies. Mistakes are the model's own, told beside the field that they are about.
"""

from __future__ import annotations

import json
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ratchet.config import Problem

__all__ = ["FormField", "ModelForm", "blank_form", "filled_form", "read_form"]

Look = Literal["text", "number", "choice", "switch", "lines", "json"]


class FormField(msgspec.Struct, frozen=True):
    """One field as a page shows it. `value` is what is typed; of a switch, "true" or ""."""

    name: str
    label: str
    look: Look
    value: str = ""
    options: tuple[tuple[str, str], ...] = ()  # value and text
    suggestions: tuple[str, ...] = ()
    hint: str = ""
    placeholder: str = ""
    required: bool = False
    error: str = ""


class ModelForm(msgspec.Struct, frozen=True):
    """Everything between the form's tags. `error` is about the whole."""

    fields: tuple[FormField, ...]
    error: str = ""
    remedy: str = ""
    name: str = ""
    name_error: str = ""
    seen: str = ""

    @property
    def main(self) -> list[FormField]:
        """The fields most people need: the first few, and whichever has a mistake or a value."""
        return [each for each in self.fields if each.name in _FIRST or each.required or each.error]

    @property
    def more(self) -> list[FormField]:
        main = self.main
        return [each for each in self.fields if each not in main]

    @property
    def broken(self) -> bool:
        return bool(self.error or self.name_error or any(each.error for each in self.fields))


_FIRST = {
    "kind",
    "base_url",
    "api_key",
    "targets",
    "by",
    "requests",
    "tokens",
    "cost",
    "concurrency",
    "amount",
    "period",
    "starts",
}
# What a name does not say by itself. A field without an entry has its name for a label.
_WORDS: dict[str, tuple[str, str]] = {
    "kind": ("Kind", "Which wire format it speaks."),
    "base_url": (
        "Base URL",
        "Where it is, when that isn't the vendor's own place, e.g. http://10.0.0.5:8000/v1.",
    ),
    "api_key": (
        "Key, by reference",
        "env: and the name of a variable of the gateway, such as env:OPENAI_API_KEY. Never the key itself.",
    ),
    "connect_timeout": ("Time to connect, in seconds", ""),
    "timeout": ("Time for a whole answer, in seconds", ""),
    "drop_fields": ("Fields to leave out", "Request fields that it turns down, one a line."),
    "ask_stream_usage": (
        "Ask for token counts on streams",
        "Where an app streams without asking for them, the gateway asks on its own.",
    ),
    "api_version": ("API version", "For Azure."),
    "responses": ("Serves /responses itself", ""),
    "by": (
        "A share for each",
        "key, user, organisation, ip, route, segment; one a line. Empty: all share one.",
    ),
    "requests": ("Requests", "Such as 100/minute, or 100/minute burst 20."),
    "tokens": ("Tokens", "Such as 50k/hour."),
    "cost": ("Money", "US dollars, such as 5/day."),
    "concurrency": ("Requests at once", ""),
    "amount": ("Amount", "US dollars."),
    "period": ("Period", "In UTC."),
    "warn": ("Warn at", "Shares of the amount, such as 0.5; one a line."),
    "webhook": ("Webhook", "Who is told of warnings and of the end, by POST."),
    "degrade_to": (
        "Answer with",
        "The route or provider/model that answers once it is spent. Empty: refuse.",
    ),
    "allow_unpriced": ("Let through what has no known price", ""),
    "keys": ("Only these keys", "By name or id, one a line."),
    "users": ("Only these users", "One a line."),
    "organisations": ("Only these organisations", "One a line."),
    "ips": ("Only these addresses", "Addresses or networks such as 203.0.113.0/24, one a line."),
    "routes": ("Only these routes", "One a line."),
    "segments": ("Only these segments", "One a line."),
    "targets": ("Target", "A provider and a model there, such as openai/gpt-4o-mini."),
}


def blank_form(
    model: type[BaseModel], *, suggestions: Mapping[str, Sequence[str]] | None = None
) -> ModelForm:
    return _form(model, {}, {}, suggestions or {})


def filled_form(
    model: type[BaseModel],
    settings: Mapping[str, Any],
    *,
    seen: int | None = None,
    suggestions: Mapping[str, Sequence[str]] | None = None,
) -> ModelForm:
    """The form for what is declared already."""
    values = {name: _typed(settings[name]) for name in model.model_fields if name in settings}
    form = _form(model, values, {}, suggestions or {})
    return msgspec.structs.replace(form, seen="" if seen is None else str(seen))


def refilled_form(
    model: type[BaseModel],
    typed: Mapping[str, Sequence[str]],
    problems: Sequence[Problem],
    *,
    message: str,
    remedy: str,
    suggestions: Mapping[str, Sequence[str]] | None = None,
) -> ModelForm:
    """What somebody has typed, nothing lost, with what is wrong beside it. `message` is used where no field is to
    blame."""
    values = {name: "\n".join(typed.get(name, ())) for name in model.model_fields}
    for name, value in values.items():
        if name.endswith("api_key") and not value.startswith("env:"):
            values[name] = ""  # it may be the secret itself, which no page must hold
    errors, rest = _by_field(model, problems)
    form = _form(model, values, errors, suggestions or {})
    placed = bool(errors)
    return msgspec.structs.replace(
        form,
        error=" ".join(rest) if rest else ("" if placed else message),
        remedy="" if placed and not rest else remedy,
        name="".join(typed.get("name", ())[:1]),
        name_error=errors.get("name", ""),
        seen="".join(typed.get("seen", ())[:1]),
    )


def _by_field(model: type[BaseModel], problems: Sequence[Problem]) -> tuple[dict[str, str], list[str]]:
    """The mistakes beside each field, and those that are about none."""
    errors: dict[str, list[str]] = {}
    rest: list[str] = []
    for problem in problems:
        field = problem.key.partition(".")[0]
        if not field:  # the model as a whole: beside the first field that its words name
            field = next((name for name in model.model_fields if name in problem.expected.split()), "")
        text = problem.expected if problem.found is None else f"{problem.expected}; found {problem.found}"
        text = f"{text[:1].upper()}{text[1:]}."
        if field in model.model_fields or field == "name":
            errors.setdefault(field, []).append("Fill this in." if text == "Is missing." else text)
        else:
            rest.append(str(problem) + ".")
    return {name: " ".join(texts) for name, texts in errors.items()}, rest


def read_form(model: type[BaseModel], typed: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What was typed, as settings. Text stays text where it is none of what the field takes: the model says so."""
    settings: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        text = "\n".join(typed.get(name, ())).strip()
        look = _look(field)
        if look == "switch":
            settings[name] = bool(text)
        elif not text:
            continue
        elif look == "lines":
            settings[name] = [line.strip() for line in text.splitlines() if line.strip()]
        elif look == "json":
            settings[name] = _decoded(text)
        else:
            settings[name] = [text] if _is_list(field) else text
    return settings


def _form(
    model: type[BaseModel],
    values: Mapping[str, str],
    errors: Mapping[str, str],
    suggestions: Mapping[str, Sequence[str]],
) -> ModelForm:
    return ModelForm(
        tuple(
            _field(name, field, values.get(name), errors.get(name, ""), suggestions.get(name, ()))
            for name, field in model.model_fields.items()
        )
    )


def _field(
    name: str, field: FieldInfo, value: str | None, error: str, suggestions: Sequence[str]
) -> FormField:
    look = _look(field)
    label, hint = _WORDS.get(name, (name.replace("_", " ").capitalize(), field.description or ""))
    default = None if field.is_required() else field.get_default(call_default_factory=True)
    if value is None:
        value = "true" if look == "switch" and default is True else ""
    bounds = _bounds(field)
    return FormField(
        name=name,
        label=label,
        look=look,
        value=value,
        options=_options(field),
        suggestions=tuple(suggestions),
        hint=" ".join(part for part in (hint, bounds) if part),
        placeholder=_typed(default) if look in ("text", "number") and default is not None else "",
        required=field.is_required(),
        error=error,
    )


def _bare(annotation: Any) -> tuple[Any, bool]:
    """The type behind `Annotated` and `| None`, and whether None is one of its values."""
    optional = False
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in (Union, types.UnionType):
            others = [each for each in get_args(annotation) if each is not types.NoneType]
            optional = optional or len(others) < len(get_args(annotation))
            if len(others) != 1:
                return str, optional
            annotation = others[0]
        else:
            return annotation, optional


def _look(field: FieldInfo) -> Look:
    kind, optional = _bare(field.annotation)
    if get_origin(kind) is Literal:
        return "choice"
    if kind is bool:
        return "choice" if optional else "switch"
    if kind in (int, float):
        return "number"
    if _is_list(field):
        return "text" if _most(field) == 1 else "lines"
    if get_origin(kind) is dict or (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return "json"
    return "text"


def _is_list(field: FieldInfo) -> bool:
    return get_origin(_bare(field.annotation)[0]) in (list, tuple, set, frozenset)


def _options(field: FieldInfo) -> tuple[tuple[str, str], ...]:
    kind, optional = _bare(field.annotation)
    if get_origin(kind) is Literal:
        found = tuple((str(value), str(value)) for value in get_args(kind))
        return (("", "not said"), *found) if optional or not field.is_required() else found
    if kind is bool and optional:
        return (("", "as its kind does"), ("true", "yes"), ("false", "no"))
    return ()


def _most(field: FieldInfo) -> int | None:
    return next((each.max_length for each in field.metadata if hasattr(each, "max_length")), None)


_BOUNDS = (("gt", "more than"), ("ge", "at least"), ("lt", "less than"), ("le", "at most"))


def _bounds(field: FieldInfo) -> str:
    kind, _ = _bare(field.annotation)
    if kind not in (int, float):
        return ""
    parts = [
        f"{words} {getattr(each, name):,g}"
        for each in field.metadata
        for name, words in _BOUNDS
        if getattr(each, name, None) is not None
    ]
    text = ", ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _typed(value: Any) -> str:
    """A value as a person types it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "\n".join(str(each) for each in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value is None else str(value)


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
