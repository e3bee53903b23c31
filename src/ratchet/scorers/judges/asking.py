"""Asking a judge for a verdict: structured, asked again once where it can't be read, and then unscored."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Generic, TypeVar, cast

import msgspec

from ratchet.domain.cases import UNSCORED, Verdict
from ratchet.domain.generation import Answer, Request
from ratchet.domain.messages import Message, RefusalPart, TextPart
from ratchet.errors import UpstreamError
from ratchet.scorers.judges.prompt import JudgePrompt, ask_of
from ratchet.scorers.scorer import Generate

__all__ = ["Heard", "Judge", "Unreadable", "together"]

T = TypeVar("T")
_SHOWN = 300  # characters of what a judge said that could not be read
_FENCED = re.compile(r"```(?:json)?\s*\n(.*?)\n?```", re.DOTALL)


class Unreadable(ValueError):
    """What the judge said does not hold a verdict; the text says what is wrong with it."""


class Heard(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """What came of asking. `verdict` is None where none could be read, and `why` says so."""

    verdict: T | None
    why: str = ""
    attributes: dict[str, str]

    def unscored(self, name: str = "") -> Verdict:
        return Verdict(name=name, value=UNSCORED, comment=self.why, attributes=self.attributes)


class Judge(msgspec.Struct, frozen=True, kw_only=True):
    """A judge: who is asked, and what. `temperature` None leaves it to the provider (some models take none)."""

    prompt: JudgePrompt
    model: str
    temperature: float | None = 0.0

    async def ask(
        self, generate: Generate, texts: dict[str, str], read: Callable[[dict[str, Any]], T]
    ) -> Heard[T]:
        """The verdict on `texts`. `read` takes the judge's JSON object and raises Unreadable for what it can't use.

        Raises RatchetError only for mistakes in the settings (no such route); what a provider fails at is unscored.
        """
        request = ask_of(self.prompt, texts, model=self.model, temperature=self.temperature)
        spent = _Spent()
        said = why = ""
        for attempt in range(2):
            try:
                answer = await generate(request if not attempt else _again(request, said, why))
            except UpstreamError as error:
                return self._heard(None, f"the judge could not be asked: {error.message}", spent)
            spent.add(answer)
            said, refused = _said(answer)
            if refused:
                return self._heard(None, f"the judge refused: {refused[:_SHOWN]}", spent)
            try:
                return self._heard(read(_object(said)), "", spent)
            except Unreadable as problem:
                why = str(problem)
        shown = said[:_SHOWN] + ("…" if len(said) > _SHOWN else "")
        return self._heard(None, f"the judge's verdict can't be read: {why}. It said: {shown!r}", spent)

    def _heard(self, verdict: T | None, why: str, spent: _Spent) -> Heard[T]:
        attributes = {"judge": self.model, "judge_prompt": f"{self.prompt.name}@{self.prompt.hash}"}
        return Heard(verdict=verdict, why=why, attributes=attributes | spent.shown())


def together(*heards: Heard[Any]) -> dict[str, str]:
    """The attributes of one verdict that took several: calls, tokens and cost are added."""
    found = {name: value for heard in heards for name, value in heard.attributes.items()}
    for name in ("calls", "input_tokens", "output_tokens"):
        found[name] = str(sum(int(heard.attributes.get(name, 0)) for heard in heards))
    costs = [heard.attributes.get("cost") for heard in heards]
    found.pop("cost", None)
    if None not in costs:
        found["cost"] = str(sum((Decimal(cost) for cost in costs if cost), Decimal(0)))
    return found


class _Spent:
    """What the calls of one verdict came to."""

    def __init__(self) -> None:
        self.calls = self.input = self.output = 0
        self.cost: Decimal | None = Decimal(0)
        self.model = ""

    def add(self, answer: Answer) -> None:
        self.calls += 1
        self.input += answer.usage.input or 0
        self.output += answer.usage.output or 0
        self.cost = None if self.cost is None or answer.cost is None else self.cost + answer.cost
        self.model = answer.model

    def shown(self) -> dict[str, str]:
        if not self.calls:
            return {}
        found = {"model": self.model, "calls": str(self.calls)}
        found |= {"input_tokens": str(self.input), "output_tokens": str(self.output)}
        return found if self.cost is None else found | {"cost": str(self.cost)}


def _said(answer: Answer) -> tuple[str, str]:
    """`(the words, the refusal)` of the first choice."""
    parts = answer.choices[0].parts if answer.choices else []
    text = "".join(part.content for part in parts if isinstance(part, TextPart))
    return text, "".join(part.content for part in parts if isinstance(part, RefusalPart)) if not text else ""


def _object(text: str) -> dict[str, Any]:
    """The JSON object in what a model said: alone, in a code fence, or between words."""
    fenced = _FENCED.search(text)
    start, end = text.find("{"), text.rfind("}")
    for candidate in (text, fenced[1] if fenced else "", text[start : end + 1] if 0 <= start < end else ""):
        try:
            found = json.loads(candidate)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            return cast("dict[str, Any]", found)
    raise Unreadable("it is no JSON object" if text.strip() else "it is empty")


def _again(request: Request, said: str, why: str) -> Request:
    """The same request, with what was said and what is wrong with it."""
    told = (
        f"That can't be read: {why}. Answer again, with nothing but a JSON object of this schema:\n"
        f"{json.dumps(request.output.schema if request.output else {})}"
    )
    return msgspec.structs.replace(
        request,
        messages=[
            *request.messages,
            Message("assistant", [TextPart(said or "(nothing)")]),
            Message("user", [TextPart(told)]),
        ],
    )
