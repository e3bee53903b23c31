"""Which models fit what is needed, and why the others don't. Pure.

Each need is answered for each model in one of three ways: it fits, it fails, or it can't be told, because a fact is
unknown or depends on something. What can't be told is never taken for a no.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

import msgspec

from ratchet.catalog.models import Fact, Model
from ratchet.catalog.quotes import Quote

__all__ = ["Finding", "Judgement", "Needs", "Traffic", "Verdict", "judge", "recommend"]

Verdict = Literal["fits", "unknown", "fails"]


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """A month of calls: how many, and tokens of each; `cached_share` of the input is read from the cache (0 to 1)."""

    requests: int
    input_tokens: int
    output_tokens: int
    cached_share: Decimal = Decimal(0)


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """What a model has to be or do; what is left at its default is not asked. Money in US dollars.

    `fine_tunable`: "any" way, through an "api", or because the "weights" are open. `until`: it is not retired by
    then. `modalities` are those it has to take. `here`: a provider that is declared here serves it.
    """

    commercial: bool = False
    context_tokens: int | None = None
    output_tokens: int | None = None
    max_input_usd: Decimal | None = None  # per million tokens
    max_output_usd: Decimal | None = None
    monthly_usd: Decimal | None = None
    traffic: Traffic | None = None
    fine_tunable: Literal["", "any", "api", "weights"] = ""
    data_stays: bool = False
    modalities: tuple[str, ...] = ()
    tools: bool = False
    structured_output: bool = False
    reasoning: bool = False
    until: datetime.date | None = None
    here: bool = False

    @property
    def any(self) -> bool:
        """Whether anything is asked at all."""
        return msgspec.structs.replace(self, traffic=None) != Needs()


class Finding(msgspec.Struct, frozen=True):
    """How a model meets one need, in words that name the fact and its source."""

    need: str
    verdict: Verdict
    says: str


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """One model against all needs. `monthly_usd` is the dearest quote's, where traffic was given and a price is known."""

    model: str
    verdict: Verdict
    findings: list[Finding]
    monthly_usd: Decimal | None = None

    @property
    def against(self) -> list[Finding]:
        """What fails."""
        return [each for each in self.findings if each.verdict == "fails"]

    @property
    def open(self) -> list[Finding]:
        """What has to be checked."""
        return [each for each in self.findings if each.verdict == "unknown"]


def recommend(
    models: Iterable[Model],
    needs: Needs,
    *,
    quotes: Mapping[str, Sequence[Quote]],
    here: Mapping[str, Sequence[str]],
    today: datetime.date,
    known_only: bool = False,
) -> list[Judgement]:
    """Every model judged: those that fit, then those with something to check, then those that fail.

    Within each, the cheapest first: by the month where traffic is given, else by three parts input and one output.
    `quotes` and `here` (the declared providers that serve it) by model. With `known_only`, what can't be told counts
    as a failure. `today` is when a model must still be there, unless the needs say later.
    """
    judged: list[tuple[tuple[Any, ...], Judgement]] = []
    for place, model in enumerate(models):
        offers = quotes.get(model.name, ())
        judgement = judge(
            model, needs, quotes=offers, here=here.get(model.name, ()), today=today, known_only=known_only
        )
        price = judgement.monthly_usd if needs.traffic else _blended(offers)
        order = ("fits", "unknown", "fails").index(judgement.verdict)
        judged.append(((order, price is None, price or 0, place), judgement))
    return [judgement for _, judgement in sorted(judged, key=lambda each: each[0])]


def judge(
    model: Model,
    needs: Needs,
    *,
    quotes: Sequence[Quote],
    here: Sequence[str],
    today: datetime.date,
    known_only: bool = False,
) -> Judgement:
    """One model against the needs: see `recommend`."""
    findings = [
        *_available(model, needs, today),
        *_licence(model, needs),
        *_limits(model, needs),
        *_budget(needs, quotes),
        *_abilities(model, needs),
        *_place(model, needs, here),
    ]
    if known_only:
        findings = [
            msgspec.structs.replace(each, verdict="fails") if each.verdict == "unknown" else each
            for each in findings
        ]
    verdicts = {each.verdict for each in findings}
    verdict: Verdict = "fails" if "fails" in verdicts else "unknown" if "unknown" in verdicts else "fits"
    return Judgement(
        model=model.name, verdict=verdict, findings=findings, monthly_usd=_monthly(needs.traffic, quotes)
    )


def _available(model: Model, needs: Needs, today: datetime.date) -> Iterator[Finding]:
    """Asked of every model: what is gone can't be recommended."""
    until = max(needs.until or today, today)
    status, retires = model.status, model.deprecation_date
    if status.value == "historical":
        yield Finding("available", "fails", f"a historical entry, kept for comparison ({status.cited})")
    elif retires.value is not None:
        verdict: Verdict = "fits" if retires.value > until else "fails"
        sign = ">" if verdict == "fits" else "≤"
        yield Finding("available", verdict, f"retires {retires.value} {sign} {until} ({retires.cited})")
    elif status.value == "current":
        yield Finding("available", "fits", f"no retirement date seen; that is no guarantee ({status.cited})")
    else:
        yield Finding("available", "unknown", "retirement date unknown: check")


def _licence(model: Model, needs: Needs) -> Iterator[Finding]:
    if not needs.commercial:
        return
    kind, words = model.licence_class, model.licence.value or "unnamed"
    cited = kind.cited
    if kind.value is None:
        yield Finding("commercial", "unknown", "licence unknown: check")
    elif kind.value == "permissive":
        yield Finding("commercial", "fits", f"licence {words}, permissive ({cited})")
    elif kind.value == "proprietary":
        yield Finding("commercial", "fits", f"sold under the provider's terms: {words} ({cited})")
    elif kind.value == "restricted":
        yield Finding("commercial", "unknown", f"licence {words} has conditions: check ({cited})")
    elif model.input_usd_per_mtok.known:
        yield Finding(
            "commercial",
            "unknown",
            f"weights are non-commercial ({words}); the provider also sells it under other terms: check ({cited})",
        )
    else:
        yield Finding("commercial", "fails", f"licence {words} is non-commercial ({cited})")


def _limits(model: Model, needs: Needs) -> Iterator[Finding]:
    for need, fact, wanted in (
        ("context", model.context_tokens, needs.context_tokens),
        ("output", model.max_output_tokens, needs.output_tokens),
    ):
        if wanted is None:
            continue
        if fact.value is None:
            yield Finding(need, "unknown", f"{need} unknown: check")
        else:
            fits = fact.value >= wanted
            sign = "≥" if fits else "<"
            yield Finding(
                need,
                "fits" if fits else "fails",
                f"{need} {fact.value:,} {sign} {wanted:,} ({fact.cited})",
            )


def _budget(needs: Needs, quotes: Sequence[Quote]) -> Iterator[Finding]:
    if needs.max_input_usd is not None:
        yield _within(
            "input price", needs.max_input_usd, quotes, lambda quote: quote.input, "a million tokens"
        )
    if needs.max_output_usd is not None:
        yield _within(
            "output price", needs.max_output_usd, quotes, lambda quote: quote.output, "a million tokens"
        )
    traffic = needs.traffic
    if needs.monthly_usd is not None and traffic is not None:
        yield _within(
            "monthly cost", needs.monthly_usd, quotes, lambda quote: _of_a_month(quote, traffic), "a month"
        )


def _within(
    need: str, most: Decimal, quotes: Sequence[Quote], price: Callable[[Quote], Decimal | None], per: str
) -> Finding:
    """Sources that differ are named with their prices; where they disagree about the answer, it can't be told."""
    said = [(value, quote) for quote in quotes if (value := price(quote)) is not None]
    if not said:
        return Finding(need, "unknown", f"{need} unknown: check")
    if len({value for value, _ in said}) == 1:
        said = said[:1]
    within = [value <= most for value, _ in said]
    verdict: Verdict = "fits" if all(within) else "unknown" if any(within) else "fails"
    parts = [
        f"{_dollars(value)} {'≤' if fits else '>'} {_dollars(most)} {per} ({quote.cited})"
        for (value, quote), fits in zip(said, within, strict=True)
    ]
    check = "; sources differ: check" if verdict == "unknown" else ""
    return Finding(need, verdict, f"{need} {'; '.join(parts)}{check}")


def _abilities(model: Model, needs: Needs) -> Iterator[Finding]:
    for need, fact, wanted in (
        ("tools", model.tools, needs.tools),
        ("structured output", model.structured_output, needs.structured_output),
        ("reasoning", model.reasoning, needs.reasoning),
    ):
        if wanted:
            yield _stated(need, fact)
    # What is documented may be incomplete: a modality that is not named may be there all the same.
    for wanted in needs.modalities:
        fact = model.modalities_in
        if wanted in (fact.value or ()):
            yield Finding(wanted, "fits", f"takes {wanted} ({fact.cited})")
        else:
            listed = f"documented: {', '.join(fact.value)}; " if fact.value else ""
            yield Finding(wanted, "unknown", f"{listed}{wanted} unknown: check")
    if needs.fine_tunable:
        yield _tunable(model, needs.fine_tunable)


def _stated(need: str, fact: Fact[bool]) -> Finding:
    if fact.value is None:
        return Finding(need, "unknown", f"{need} unknown: check")
    said = "stated" if fact.value else "not offered"
    return Finding(need, "fits" if fact.value else "fails", f"{need} {said} ({fact.cited})")


def _tunable(model: Model, way: str) -> Finding:
    fact = model.fine_tunable
    if fact.value is None:
        return Finding("fine-tunable", "unknown", "fine-tunable unknown: check")
    if fact.value == "no":
        return Finding("fine-tunable", "fails", f"not fine-tunable ({fact.cited})")
    words = {"weights": "by its open weights", "api": "through the provider's API"}[fact.value]
    if way in ("any", fact.value):
        return Finding("fine-tunable", "fits", f"fine-tunable {words} ({fact.cited})")
    # Someone may offer tuning of open weights as a service; what the provider's API can't do it can't do.
    verdict: Verdict = "unknown" if way == "api" else "fails"
    check = "; through an API unknown: check" if way == "api" else ", not by weights"
    return Finding("fine-tunable", verdict, f"fine-tunable {words}{check} ({fact.cited})")


def _place(model: Model, needs: Needs, here: Sequence[str]) -> Iterator[Finding]:
    if needs.data_stays:
        fact = model.data_location
        if fact.value is None:
            yield Finding("data stays", "unknown", "where data goes is unknown: check")
        elif fact.value == "anywhere":
            yield Finding("data stays", "fits", f"weights are published, so it can run here ({fact.cited})")
        else:
            yield Finding("data stays", "fails", f"data goes to the provider's API ({fact.cited})")
    if needs.here:
        if here:
            yield Finding("here", "fits", f"served by {', '.join(here)}")
        elif model.weights_open.value and not model.hosted:
            yield Finding("here", "unknown", "no route or call here names it; a provider may host it: check")
        else:
            yield Finding(
                "here", "fails", f"no provider declared here is {model.provider.value or 'its maker'}"
            )


def _monthly(traffic: Traffic | None, quotes: Sequence[Quote]) -> Decimal | None:
    if traffic is None:
        return None
    return max((cost for quote in quotes if (cost := _of_a_month(quote, traffic)) is not None), default=None)


def _of_a_month(quote: Quote, traffic: Traffic) -> Decimal | None:
    return quote.monthly(traffic.requests, traffic.input_tokens, traffic.output_tokens, traffic.cached_share)


def _blended(quotes: Sequence[Quote]) -> Decimal | None:
    return max(
        (
            (3 * quote.input + quote.output) / 4
            for quote in quotes
            if quote.input is not None and quote.output is not None
        ),
        default=None,
    )


def _dollars(value: Decimal) -> str:
    """Exact; thousands apart."""
    text = f"{value:,f}"
    return "$" + (text.rstrip("0").rstrip(".") if "." in text else text)
