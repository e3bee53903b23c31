"""What reports of a comparison say of cases that no number says anything about, and which colour a slice has."""

from __future__ import annotations

import math
from xml.etree import ElementTree

from ratchet.evals.compare import compare
from ratchet.evals.comparison import Comparison
from ratchet.evals.markdown_report import markdown_report
from ratchet.evals.report import Names, html_report, junit_report
from ratchet.evals.results import CaseResult
from ratchet.evals.wording import counted, sure
from ratchet.scorers.scorer import ScorerAbout

NAMES = Names("support", "cases.jsonl", "before", "now")
TOXIC = ScorerAbout(name="rude", title="A judge finds the answer toxic", higher_is_better=False)


def compared(before: list[float], after: list[float], *, tags: list[str] | None = None) -> Comparison:
    def side(values: list[float]) -> list[CaseResult]:
        return [
            CaseResult(case_id=f"c{at}", values={"rude": [value]}, tags=tags or [])
            for at, value in enumerate(values)
        ]

    return compare(side(before), side(after), [TOXIC])


def test_a_candidate_that_gives_no_answer_is_no_skipped_test() -> None:
    nothing = math.nan
    found = compared([0.0, 0.0, nothing, 0.0], [nothing, 1.0, nothing, 0.0])
    suite = ElementTree.fromstring(junit_report(found, NAMES).partition("\n")[2])[0]
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "1",
        "errors": "1",
        "skipped": "1",
    }
    kinds = {case.get("name"): [child.tag for child in case] for case in suite}
    assert kinds == {"c0": ["error"], "c1": ["failure"], "c2": ["skipped"], "c3": []}
    said = "1 case worse, 0 better, 1 the same; unscored: 1 of the baseline, 2 of the candidate"
    assert counted(found.scorers[0]) == said
    for report in (html_report(found, NAMES, {}, []), markdown_report(found, NAMES, [])):
        assert said in report
        assert "rude" in report, "a title may belong to several scorers of a suite"


def test_where_one_side_is_unscored_everywhere_no_difference_was_looked_for() -> None:
    found = compared([0.0] * 20, [math.nan] * 20)
    assert sure(found.scorers[0]) == "no case is scored on both sides"


def test_a_slice_is_red_where_it_is_worse_and_not_where_it_is_smaller() -> None:
    better, worse = ([1.0] * 40, [0.0] * 40), ([0.0] * 40, [1.0] * 40)
    for (before, after), red in ((better, False), (worse, True)):
        report = html_report(compared(before, after, tags=["returns"]), NAMES, {}, [])
        assert ("<tr class=worse><th scope=row>returns" in report) is red
        assert "<th scope=row>returns" in report
