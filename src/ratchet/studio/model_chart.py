"""Price beside quality or speed, where there is something to draw. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from ratchet.domain.stars import MOST_STARS, Hint
from ratchet.studio.choosing import Known
from ratchet.studio.formats import money_tick, number, segment
from ratchet.studio.scatter import Point, Scatter, scatter

__all__ = ["CHARTS", "chart_of"]

# What the price can be held against; a benchmark of a leaderboard stands under its own name.
CHARTS = {"stars": "stars of members", "speed": "tokens a second, measured here"}
_PRICE = "US dollars for a million tokens: three parts input, one part output"


def chart_of(
    models: Sequence[Known], hints: Sequence[Hint], wanted: str
) -> tuple[Scatter | None, list[tuple[str, str]]]:
    """The chart that is wanted, or the first that can be drawn; and every one that can, as name and label."""
    benchmarks = sorted({_name_of(hint) for hint in hints})
    drawn = {
        name: drawing
        for name in (*CHARTS, *benchmarks)
        if (drawing := _drawing(name, models, hints)) is not None
    }
    labels = [(name, CHARTS.get(name, f"hint: {name}")) for name in drawn]
    if not drawn:
        return None, []
    return drawn.get(wanted) or next(iter(drawn.values())), labels


def _drawing(name: str, models: Sequence[Known], hints: Sequence[Hint]) -> Scatter | None:
    points = [
        Point(
            name=known.model.name,
            href=f"/models/{segment(known.model.name)}",
            price=float(price),
            value=value,
            says=f"{known.model.name}: {money_tick(float(price))} a million tokens, {_words(name, value)}",
            faint=name == "speed" and known.simulated,
        )
        for known in models
        if (price := _blended(known)) and (value := _value(name, known, hints)) is not None
    ]
    top = f"price and {CHARTS.get(name, name)}"
    return scatter(
        points,
        title=top[0].upper() + top[1:] + ("" if name in CHARTS else " (a hint: other people's tasks)"),
        x_label=_PRICE,
        y_label=CHARTS.get(name, name),
        money=money_tick,
        number=number,
    )


def _value(name: str, known: Known, hints: Sequence[Hint]) -> float | None:
    if name == "stars":
        return known.rating.mean if known.rating else None
    if name == "speed":
        return known.speed.tokens_per_second if known.speed else None
    return next(
        (hint.score for hint in hints if hint.model == known.model.name and _name_of(hint) == name), None
    )


def _words(name: str, value: float) -> str:
    if name == "stars":
        return f"{number(value)} of {MOST_STARS} stars"
    return f"{number(value)} tokens a second" if name == "speed" else f"{number(value)} at {name}"


def _name_of(hint: Hint) -> str:
    return f"{hint.benchmark} ({hint.source})"


def _blended(known: Known) -> Decimal | None:
    """Three parts input and one output: about what chats and extraction use."""
    quote = known.price
    if quote is None or quote.input is None or quote.output is None:
        return None
    return (3 * quote.input + quote.output) / 4
