"""Judges against people: made biases are found, and those that aren't there are not."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from ratchet.evals.calibration import (
    BothOrders,
    Calibration,
    Rated,
    calibrate,
    corrected_mean,
    position_bias,
)


def rated(
    n: int = 2000,
    *,
    seed: int = 0,
    kind: float = 0.0,
    long: float = 0.0,
    own: float = 0.0,
    labelled: float = 0.5,
) -> list[Rated]:
    """A judge that grades as people do with noise; `kind` to all, `long` for each doubling, `own` to its own model."""
    rng = np.random.default_rng(seed)
    rows: list[Rated] = []
    for index in range(n):
        human, length, mine = rng.normal(3, 1), int(np.exp(rng.normal(6, 0.7))) + 1, bool(rng.random() < 0.4)
        human += 0.2 * (math.log2(length) - 8.6)  # longer answers are better, and people say so
        judge = human + rng.normal(0, 0.5) + kind + long * (math.log2(length) - 8.6) + own * mine
        rows.append(
            Rated(
                case_id=f"c{index}",
                judge=judge,
                human=human if rng.random() < labelled else math.nan,
                length=length,
                own=mine,
            )
        )
    return rows


def test_an_honest_judge_is_found_honest() -> None:
    found = calibrate(rated())
    for bias in (found.bias, found.length_bias, found.self_preference):
        assert bias is not None
        assert (bias.low or 0) < 0 < (bias.high or 0)
    assert found.alpha is not None
    assert (found.alpha.value or 0) > 0.85
    assert (found.kappa, found.confusion) == (None, None)  # a scale, not classes
    assert msgspec.json.decode(msgspec.json.encode(found), type=Calibration) == found


def test_made_biases_are_found_in_their_size() -> None:
    found = calibrate(rated(kind=0.3, long=0.25, own=0.4, seed=1))
    assert found.length_bias is not None
    assert found.length_bias.value == pytest.approx(0.25, abs=0.04)
    assert found.self_preference is not None
    assert found.self_preference.value == pytest.approx(0.4, abs=0.08)
    assert found.bias is not None
    assert found.bias.value == pytest.approx(0.3 + 0.4 * 0.4, abs=0.06)


def test_the_corrected_mean_is_what_people_say() -> None:
    rows = rated(5000, kind=0.8, labelled=0.04, seed=2)
    found = corrected_mean(rows)
    assert found is not None
    assert found.judged.value == pytest.approx(3.8, abs=0.06)
    assert (found.corrected.low or 0) < 3 < (found.corrected.high or 9)
    assert found.worth > 2 * found.labels
    wide, narrow = ((each.high or 0) - (each.low or 0) for each in (found.labels_only, found.corrected))
    assert narrow < 0.7 * wide
    assert corrected_mean([Rated(case_id="c", judge=1)]) is None


def test_classes_have_kappa_and_confusion() -> None:
    rows = [
        Rated(case_id=f"{human}{judge}{index}", judge=judge, human=human)
        for human, judge, count in ((1, 1, 20), (1, 0, 5), (0, 1, 10), (0, 0, 15))
        for index in range(count)
    ]
    found = calibrate([*rows, Rated(case_id="x", judge=math.nan, human=1)])
    assert found.kappa is not None
    assert found.kappa.value == pytest.approx(0.4)  # the textbook's two readers of fifty proposals
    assert found.confusion is not None
    assert (found.confusion.classes, found.confusion.counts) == (["0", "1"], [[15, 10], [5, 20]])
    assert (found.rated, found.unscored) == (50, 1)
    assert found.agreement is not None
    assert found.agreement.value == 0.7


def test_nothing_rated_says_nothing() -> None:
    found = calibrate([Rated(case_id="c", judge=1.0)])
    assert (found.rated, found.kappa, found.alpha, found.bias, found.mean) == (0, None, None, None, None)


def orders(n: int, *, first: float, seed: int = 0) -> list[BothOrders]:
    """a is better than b in seven of ten; with probability `first`, what is shown first is preferred whatever it is."""
    rng = np.random.default_rng(seed)
    rows: list[BothOrders] = []
    for index in range(n):
        better = "a" if rng.random() < 0.7 else "b"
        a_first, b_first = (shown if rng.random() < first else better for shown in ("a", "b"))
        rows.append(BothOrders(case_id=f"c{index}", a_first=a_first, b_first=b_first))
    return rows


def test_a_judge_that_likes_what_comes_first_is_found_whatever_the_quality() -> None:
    honest, leaning = position_bias(orders(400, first=0.0)), position_bias(orders(400, first=0.5))
    assert (honest.flipped.value, honest.lean.value) == (0, 0)
    assert leaning.lean.value == pytest.approx(0.5, abs=0.06)
    assert leaning.flipped.value == pytest.approx(0.5, abs=0.08)
    assert position_bias([BothOrders(case_id="c", a_first="tie", b_first="tie")]).lean.value == 0
    with pytest.raises(ValueError, match="tie"):
        position_bias([BothOrders(case_id="c", a_first="A", b_first="b")])
