"""Gemini's `generationConfig`: sampling, the form of the output, and thinking."""

from __future__ import annotations

from typing import Any, cast

from ratchet.dialects.checking import EFFORTS
from ratchet.dialects.expressing import cannot_express
from ratchet.dialects.gemini.fields import NUMBER, fields, nested, restored, take
from ratchet.dialects.gemini.schemas import json_schema
from ratchet.dialects.gemini.vocabulary import NAME, generation
from ratchet.domain.generation import OutputFormat, Request, Thinking
from ratchet.domain.messages import Extra

__all__ = ["read_configuration", "write_configuration"]

_SIMPLE: tuple[tuple[str, str, Any], ...] = (
    ("maxOutputTokens", "max_tokens", int),
    ("temperature", "temperature", NUMBER),
    ("topP", "top_p", NUMBER),
    ("topK", "top_k", int),
    ("seed", "seed", int),
    ("presencePenalty", "presence_penalty", NUMBER),
    ("frequencyPenalty", "frequency_penalty", NUMBER),
    ("candidateCount", "choices", int),
    ("responseLogprobs", "logprobs", bool),
    ("logprobs", "top_logprobs", int),
)
_JSON = "application/json"

_BUDGETS = {
    "none": 0,
    "minimal": 1_024,
    "low": 1_024,
    "medium": 8_192,
    "high": 24_576,
    "xhigh": 32_768,
    "max": 32_768,
}
_LEVELS = {"low": "LOW", "medium": "MEDIUM", "high": "HIGH", "xhigh": "HIGH", "max": "HIGH"}
_LARGEST_BUDGET = {"pro": 32_768, "flash": 24_576}  # of the second generation


def read_configuration(config: dict[str, Any]) -> tuple[dict[str, Any], Extra]:
    """Fields of a `Request`, and what is left, by its path from the top (`generationConfig.speechConfig`)."""
    if not config:
        return {}, {"generationConfig": {}}
    found: dict[str, Any] = {}
    for wire, name, kind in _SIMPLE:
        value = take(config, wire, kind)
        if value is not None:
            found[name] = value
    stop = config.get("stopSequences")
    if isinstance(stop, list) and all(isinstance(word, str) for word in cast("list[Any]", stop)):
        found["stop"] = config.pop("stopSequences")
    thinking = config.get("thinkingConfig")
    if isinstance(thinking, dict):
        found["thinking"] = _read_thinking(fields(config.pop("thinkingConfig")))
    output = _read_output(config)
    if output is not None:
        found["output"] = output
    extra = nested("generationConfig", config)
    if config.get("responseModalities") == [
        "TEXT"
    ]:  # what every model answers with that is asked for nothing else
        del extra["generationConfig.responseModalities"]
        extra["wire"] = {"responseModalities": ["TEXT"]}
    return found, extra


def _read_output(config: dict[str, Any]) -> OutputFormat | None:
    kind = config.get("responseMimeType")
    schema, own = config.get("responseJsonSchema"), config.get("responseSchema")
    if kind == "text/plain" and schema is None and own is None:
        del config["responseMimeType"]
        return OutputFormat(kind="text")
    if kind != _JSON:
        return None  # `text/x.enum`, say: kept as it is
    del config["responseMimeType"]
    config.pop("responseJsonSchema", None)
    if schema is None and own is None:
        return OutputFormat(kind="json")
    extra = {"wire": {"responseSchema": config.pop("responseSchema")}} if own is not None else None
    return OutputFormat(
        kind="json_schema", schema=json_schema(own) if schema is None else schema, extra=extra
    )


def _read_thinking(config: dict[str, Any]) -> Thinking:
    budget = take(config, "thinkingBudget", int)
    level = take(config, "thinkingLevel", str)
    mode = None
    if budget is not None:
        mode = "off" if budget == 0 else "adaptive" if budget < 0 else "on"
    return Thinking(
        mode=mode,
        effort=level.lower() if level else None,
        budget=budget if mode == "on" else None,
        show=take(config, "includeThoughts", bool),
        extra=config or None,
    )


def write_configuration(request: Request, *, own: bool) -> dict[str, Any]:
    """The `generationConfig`; empty where nothing was said. Raises InvalidRequest for what it can't say."""
    if not own:
        _refuse(request)
    config: dict[str, Any] = {}
    for wire, name, _ in _SIMPLE:
        value = getattr(request, name)
        if value is not None and (own or not _says_nothing(name, value)):
            config[wire] = value
    if request.stop is not None and (own or request.stop):
        config["stopSequences"] = request.stop
    if request.output is not None:
        config.update(_write_output(request.output, own=own))
    if request.thinking is not None:
        thinking = _write_thinking(request.thinking, request.model, own=own)
        if thinking or own:
            config["thinkingConfig"] = thinking
    if own:
        extra = request.extra or {}
        kept = {name: value for name, value in extra.items() if name.startswith("generationConfig.")}
        config = restored({"generationConfig": config}, kept)["generationConfig"] | extra.get("wire", {})
    return config


def _refuse(request: Request) -> None:
    if request.verbosity not in (None, "medium"):
        raise cannot_express("verbosity", NAME)
    if request.output is not None and request.output.kind == "json_schema" and request.output.schema is None:
        raise cannot_express("response_format", NAME, because="It names a schema and has none.")
    if request.parallel_tool_calls is False and request.tools:
        raise cannot_express(
            "parallel_tool_calls", NAME, because="Its models call as many functions at once as they like."
        )


def _says_nothing(name: str, value: Any) -> bool:
    match name:
        case "presence_penalty" | "frequency_penalty":
            return value == 0  # newer models refuse the field whatever it says
        case "choices":
            return value == 1
        case "logprobs":
            return not value
        case "top_logprobs":
            return value == 0
        case _:
            return False


def _write_output(output: OutputFormat, *, own: bool) -> dict[str, Any]:
    if output.kind == "text":
        return {"responseMimeType": "text/plain"} if own else {}
    written: dict[str, Any] = {"responseMimeType": _JSON}
    if output.kind == "json_schema":
        if own and output.extra:
            both = (
                {}
                if output.schema == json_schema(output.extra["wire"]["responseSchema"])
                else {"responseJsonSchema": output.schema}
            )
            return written | output.extra["wire"] | both
        schema = output.schema
        if output.description and isinstance(schema, dict) and "description" not in schema:
            schema = {**cast("dict[str, Any]", schema), "description": output.description}
        if schema is not None:
            written["responseJsonSchema"] = schema
    return written


def _write_thinking(thinking: Thinking, model: str, *, own: bool) -> dict[str, Any]:
    config: dict[str, Any] = {}
    if own:
        budget = {"off": 0, "adaptive": -1}.get(thinking.mode or "", thinking.budget)
        if budget is not None:
            config["thinkingBudget"] = budget
        if thinking.effort is not None:
            config["thinkingLevel"] = thinking.effort.upper()
    else:
        config = _amount_of_thinking(thinking, model)
    # An app that turns thinking on in a dialect with thoughts in its answers gets them; Gemini tells them when asked.
    show = thinking.show if own or thinking.show is not None else thinking.mode in ("on", "adaptive") or None
    if show is not None and (own or show):
        config["includeThoughts"] = show
    return config | ((thinking.extra or {}) if own else {})


def _amount_of_thinking(thinking: Thinking, model: str) -> dict[str, Any]:
    """A level for models of the third generation on, a budget for those before; one of both is all they take.

    Turning it off is written as a budget of 0, and the model's own answer tells where it can't be.
    """
    newest = generation(model) >= 3
    if thinking.effort is not None and thinking.effort not in EFFORTS:
        raise cannot_express("reasoning.effort", NAME, because=f"{thinking.effort!r} is no effort there.")
    if thinking.mode == "off" or thinking.effort == "none":
        return {"thinkingBudget": 0}
    if thinking.effort is not None:
        if newest:
            return {"thinkingLevel": _level(thinking.effort, model)}
        return {"thinkingBudget": _fitting(_BUDGETS[thinking.effort], model)}
    if thinking.budget is not None:
        return {"thinkingBudget": _fitting(thinking.budget, model)}
    if thinking.mode in ("on", "adaptive") and not newest:
        return {"thinkingBudget": -1}
    return {}  # the newest think as much as they see fit, unless they are told


def _level(effort: str, model: str) -> str:
    if effort == "minimal":
        return "MINIMAL" if "flash" in model else "LOW"
    return _LEVELS[effort]


def _fitting(budget: int, model: str) -> int:
    """A budget is a bound, so one beyond what the model takes is its largest."""
    if generation(model) != 2:
        return budget
    largest = next((largest for name, largest in _LARGEST_BUDGET.items() if f"-{name}" in model), budget)
    return min(budget, largest)
