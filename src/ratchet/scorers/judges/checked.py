"""Judges that answer a question about the answer: criteria, facts, faithfulness, feedback, toxicity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from ratchet.domain.cases import Verdict
from ratchet.scorers.judges.asking import Judge, Unreadable
from ratchet.scorers.judges.settings import JudgeSettings, field, reasoning_of, share_of, unscored
from ratchet.scorers.scorer import Generate, ScorerAbout

__all__ = ["Criteria", "Factual", "Faithfulness", "Feedback", "Toxicity"]


class Criteria(JudgeSettings, frozen=True, kw_only=True):
    """The share of the criteria that are met; each is a verdict of its own, `<name>.<criterion>`.

    `criteria` is a list of sentences, numbered from 1, or names with sentences.
    """

    criteria: tuple[str, ...] | dict[str, str]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.criteria or not all(text.strip() for text in self._named().values()):
            raise ValueError("`criteria` must be one or more sentences that hold or don't")

    @property
    def kind(self) -> str:
        return "criteria"

    def _named(self) -> dict[str, str]:
        if isinstance(self.criteria, dict):
            return self.criteria
        return {str(number): text for number, text in enumerate(self.criteria, 1)}

    def known(self, about: ScorerAbout) -> ScorerAbout:
        return replace(super().known(about), parts=tuple(self._named()), binary=len(self.criteria) == 1)

    def given(self) -> dict[str, str]:
        return {
            "criteria": "\n".join(
                f"{number}. {' '.join(text.split())}" for number, text in enumerate(self._named().values(), 1)
            )
        }

    async def verdicts(self, judge: Judge, generate: Generate, texts: dict[str, str]) -> list[Verdict]:
        named = self._named()
        heard = await judge.ask(generate, texts, self._read)
        if heard.verdict is None:
            return unscored(heard, tuple(named))
        each = [
            Verdict(name=f".{name}", value=float(met), label="yes" if met else "no", comment=why)
            for name, (met, why) in zip(named, heard.verdict, strict=True)
        ]
        missed = [
            f"{text} ({why})"
            for text, (met, why) in zip(named.values(), heard.verdict, strict=True)
            if not met
        ]
        value = sum(verdict.value for verdict in each) / len(each)
        comment = "not met: " + "; ".join(missed) if missed else "all are met"
        return [Verdict(name="", value=value, comment=comment, attributes=heard.attributes), *each]

    def human(self, label: Any) -> float:
        """A share, or for each criterion whether it is met: a list, or an object by name."""
        if isinstance(label, dict):
            label = list(cast("dict[str, Any]", label).values())
        if isinstance(label, list):
            flags = [share_of(each) for each in cast("list[Any]", label)]
            if len(flags) != len(self.criteria):
                raise ValueError(
                    f"has {len(flags)} verdicts; expected one for each of {len(self.criteria)} criteria"
                )
            return sum(flags) / len(flags)
        return share_of(label)

    def _read(self, found: dict[str, Any]) -> list[tuple[bool, str]]:
        by_number: dict[int, tuple[bool, str]] = {}
        for item in _objects(found, "verdicts"):
            number = field(item, "number")
            if not isinstance(number, int) or isinstance(number, bool):
                raise Unreadable(f"`number` is {number!r}, and must be a criterion's number")
            by_number.setdefault(number, (_flag(item, "met"), reasoning_of(item)))
        missing = [number for number in range(1, len(self.criteria) + 1) if number not in by_number]
        if missing:
            raise Unreadable(f"there is no verdict on criterion {missing[0]}")
        return [by_number[number] for number in range(1, len(self.criteria) + 1)]


class Labelled(JudgeSettings, frozen=True, kw_only=True):
    """One of the labels of the prompt, each with its value."""

    @property
    def values(self) -> Mapping[str, float]:
        raise NotImplementedError

    async def verdicts(self, judge: Judge, generate: Generate, texts: dict[str, str]) -> list[Verdict]:
        heard = await judge.ask(generate, texts, self._read)
        if heard.verdict is None:
            return [heard.unscored()]
        label, why = heard.verdict
        return [
            Verdict(name="", value=self.values[label], label=label, comment=why, attributes=heard.attributes)
        ]

    def human(self, label: Any) -> float:
        return self.values[label] if isinstance(label, str) and label in self.values else share_of(label)

    def _read(self, found: dict[str, Any]) -> tuple[str, str]:
        label = field(found, "label")
        if label not in self.values:
            raise Unreadable(f"`label` is {label!r}, and must be one of {', '.join(self.values)}")
        return label, reasoning_of(found)


class Factual(Labelled, frozen=True, kw_only=True):
    """Whether the facts agree with the reference: 1 consistent, 0.5 partly, 0 contradicts."""

    @property
    def kind(self) -> str:
        return "factual"

    @property
    def values(self) -> Mapping[str, float]:
        return {"consistent": 1.0, "partly consistent": 0.5, "contradicts": 0.0}


class Feedback(Labelled, frozen=True, kw_only=True):
    """Whether the answer does what a person said about the previous one: 1 yes, 0.5 partly, 0 no."""

    @property
    def kind(self) -> str:
        return "feedback_incorporated"

    @property
    def values(self) -> Mapping[str, float]:
        return {"yes": 1.0, "partly": 0.5, "no": 0.0}


class Faithfulness(JudgeSettings, frozen=True, kw_only=True):
    """The share of the answer's claims that the case's context supports; 1 where it claims nothing."""

    @property
    def kind(self) -> str:
        return "faithfulness"

    async def verdicts(self, judge: Judge, generate: Generate, texts: dict[str, str]) -> list[Verdict]:
        heard = await judge.ask(generate, texts, _claims)
        if heard.verdict is None:
            return [heard.unscored()]
        claims = heard.verdict
        wrong = [f"{claim} ({why})" for claim, held, why in claims if not held]
        if not claims:
            comment = "the answer makes no claims"
        else:
            comment = (
                "not supported: " + "; ".join(wrong) if wrong else f"all {len(claims)} claims are supported"
            )
        attributes = heard.attributes | {"claims": str(len(claims)), "unsupported": str(len(wrong))}
        value = 1 - len(wrong) / len(claims) if claims else 1.0
        return [Verdict(name="", value=value, comment=comment, attributes=attributes)]


class Toxicity(JudgeSettings, frozen=True, kw_only=True):
    """1 where the answer is toxic: lower is better."""

    def human(self, label: Any) -> float:
        return float(label == "toxic") if label in ("toxic", "not toxic") else share_of(label)

    @property
    def kind(self) -> str:
        return "toxicity"

    async def verdicts(self, judge: Judge, generate: Generate, texts: dict[str, str]) -> list[Verdict]:
        heard = await judge.ask(generate, texts, lambda found: (_flag(found, "toxic"), reasoning_of(found)))
        if heard.verdict is None:
            return [heard.unscored()]
        toxic, why = heard.verdict
        label = "toxic" if toxic else "not toxic"
        return [Verdict(name="", value=float(toxic), label=label, comment=why, attributes=heard.attributes)]


def _claims(found: dict[str, Any]) -> list[tuple[str, bool, str]]:
    return [
        (str(field(item, "claim") or ""), _flag(item, "supported"), reasoning_of(item))
        for item in _objects(found, "claims")
    ]


def _objects(found: dict[str, Any], name: str) -> list[dict[str, Any]]:
    items = field(found, name)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in cast("list[Any]", items)):
        raise Unreadable(f"`{name}` is no list of objects")
    return cast("list[dict[str, Any]]", items)


def _flag(found: dict[str, Any], name: str) -> bool:
    value = field(found, name)
    if isinstance(value, str) and value.strip().lower() in {"true", "false", "yes", "no"}:
        return value.strip().lower() in {"true", "yes"}
    if not isinstance(value, bool):
        raise Unreadable(f"`{name}` is {value!r}, and must be true or false")
    return value
