"""A comparison as a file: one HTML page that needs nothing else, or JUnit XML for whatever reads test results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from xml.etree import ElementTree

import msgspec

from ratchet.domain.counting import plural
from ratchet.evals.comparison import CaseChange, Comparison, ScorerComparison, SliceComparison
from ratchet.evals.wording import counted, figure, measured, power_note, span_of, sure

__all__ = ["Answers", "Names", "html_report", "junit_report"]

_SHOWN = 500  # cases of a scorer that the page shows with their answers


class Names(msgspec.Struct, frozen=True):
    """What the two sides are called."""

    suite: str
    dataset: str
    baseline: str
    candidate: str


class Answers(msgspec.Struct, frozen=True):
    """One case: what was asked, expected, and answered by both sides (a text for each repeat)."""

    asked: str
    expected: str
    baseline: Sequence[str]
    candidate: Sequence[str]


def html_report(
    comparison: Comparison, names: Names, answers: Mapping[str, Answers], notes: Sequence[str] = ()
) -> str:
    """The page. It loads nothing from anywhere; what models said is shown as text, whatever it holds."""
    title = f"{names.candidate} against {names.baseline}"
    counted = f"{plural(comparison.cases, 'case')} from {plural(comparison.sources, 'source')}"
    body = [
        f"<header><p>{escape(names.suite)} · {escape(names.dataset)}</p><h1>{escape(title)}</h1>",
        f"<p>{counted}, {comparison.confidence:.0%} intervals.</p></header>",
        *(f"<p class=note>{escape(note)}</p>" for note in notes),
        _figures(comparison),
    ]
    body += [part for scorer in comparison.scorers for part in (_slices(scorer), _cases(scorer, answers))]
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width, initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>{''.join(body)}</main></body></html>\n"
    )


def junit_report(comparison: Comparison, names: Names) -> str:
    """A suite for each scorer, a test for each case. A case on which the candidate is worse has failed."""
    root = ElementTree.Element("testsuites", name=f"{names.suite}: {names.candidate}")
    for scorer in comparison.scorers:
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=scorer.scorer,
            tests=str(len(scorer.cases)),
            failures=str(scorer.worse),
            errors=str(sum(_lost(each) for each in scorer.cases)),
            skipped=str(sum(each.change == "unscored" and not _lost(each) for each in scorer.cases)),
        )
        for each in scorer.cases:
            case = ElementTree.SubElement(
                suite, "testcase", classname=f"{names.suite}.{scorer.scorer}", name=_plain(each.case_id)
            )
            said = f"{figure(each.baseline)} before, {figure(each.candidate)} now"
            if each.change == "worse":
                ElementTree.SubElement(case, "failure", message=said)
            elif _lost(each):
                ElementTree.SubElement(case, "error", message=said)
            elif each.change == "unscored":
                ElementTree.SubElement(case, "skipped", message=said)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _lost(case: CaseChange) -> bool:
    """The baseline has a score and the candidate none: it failed, or could not be judged."""
    return case.change == "unscored" and case.baseline is not None


def _figures(comparison: Comparison) -> str:
    rows = [
        _row(
            scorer.scorer,
            figure(scorer.baseline.value),
            figure(scorer.candidate.value),
            figure(scorer.difference.value, signed=True),
            span_of(scorer.difference),
            sure(scorer),
            "; ".join(filter(None, [scorer.title, counted(scorer), power_note(scorer)])),
            mark=scorer.verdict,
        )
        for scorer in comparison.scorers
    ]
    rows += [
        _row(resource.measure, *measured(resource), "", "")
        for resource in (comparison.cost, comparison.latency)
        if resource is not None
    ]
    head = "".join(
        f"<th>{name}</th>" for name in ("", "baseline", "candidate", "difference", "interval", "verdict", "")
    )
    return (
        f"<div class=scroll><table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _row(name: str, *cells: str, mark: str = "") -> str:
    colour = {"better": " class=better", "worse": " class=worse"}.get(mark, "")
    *figures, verdict, note = cells
    return (
        f"<tr{colour}><th scope=row>{escape(name)}</th>"
        + "".join(f"<td class=n>{escape(each)}</td>" for each in figures)
        + f"<td>{escape(verdict)}</td><td class=quiet>{escape(note)}</td></tr>"
    )


def _slice_colour(scorer: ScorerComparison, found: SliceComparison) -> str:
    gain = (found.difference.value or 0) * (1 if scorer.higher_is_better else -1)
    return " class=worse" if found.significant and gain < 0 else ""


def _slices(scorer: ScorerComparison) -> str:
    if not scorer.slices:
        return ""
    rows = "".join(
        f"<tr{_slice_colour(scorer, each)}>"
        f"<th scope=row>{escape(each.tag)}</th><td class=n>{each.difference.cases:,}</td>"
        f"<td class=n>{figure(each.difference.value, signed=True)}</td><td class=n>{span_of(each.difference)}</td>"
        f"<td class=n>{figure(each.p_adjusted)}</td></tr>"
        for each in scorer.slices
    )
    return (
        f"<h2>{escape(scorer.scorer)} by tag</h2><div class=scroll><table><thead><tr><th></th><th>cases</th>"
        f"<th>difference</th><th>interval</th><th>p (Holm)</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _cases(scorer: ScorerComparison, answers: Mapping[str, Answers]) -> str:
    changed = [each for each in scorer.cases if each.change in ("worse", "better")]
    shown = "".join(_case(each, answers.get(each.case_id)) for each in changed[:_SHOWN])
    more = f"<p class=quiet>… and {len(changed) - _SHOWN:,} more.</p>" if len(changed) > _SHOWN else ""
    return (
        f"<h2>{escape(scorer.scorer)}: {scorer.worse:,} worse, {scorer.better:,} better, {scorer.same:,} the same</h2>"
        f"{shown}{more}"
    )


def _case(change: CaseChange, answers: Answers | None) -> str:
    said = (
        f"<span class=n>{figure(change.baseline)} → {figure(change.candidate)}</span> "
        f"<code>{escape(change.case_id)}</code>"
    )
    if answers is None:
        return f"<details class={change.change}><summary>{said}</summary></details>"
    sides = "".join(
        f"<div><h3>{name}</h3>{''.join(f'<pre>{escape(text)}</pre>' for text in texts)}</div>"
        for name, texts in (("baseline", answers.baseline), ("candidate", answers.candidate))
    )
    expected = f"<h3>expected</h3><pre>{escape(answers.expected)}</pre>" if answers.expected else ""
    return (
        f"<details class={change.change}><summary>{said} {escape(answers.asked[:120])}</summary>"
        f"<h3>asked</h3><pre>{escape(answers.asked)}</pre>{expected}<div class=sides>{sides}</div></details>"
    )


def _plain(text: str) -> str:
    """XML has no place for control characters."""
    return "".join(letter if letter >= " " else "?" for letter in text)


_STYLE = """
:root{color-scheme:light dark;--ink:#16202b;--quiet:#5b6b7b;--line:#dde3ea;--ground:#fff;--good:#0a7d4b;--bad:#b3261e}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--quiet:#93a1b0;--line:#2c3642;--ground:#11161c;--good:#4ccb90;--bad:#ff8a80}}
*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:72rem;margin:0 auto;padding:2rem 1rem 4rem}h1{font-size:1.6rem;margin:.2rem 0}h2{font-size:1.15rem;margin:2.5rem 0 .5rem}
h3{font-size:.8rem;color:var(--quiet);margin:.8rem 0 .2rem;font-weight:600}header p,.quiet{color:var(--quiet);margin:0}
.note{border-left:3px solid var(--bad);padding-left:.8rem}.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;margin-top:1rem}
th,td{text-align:left;padding:.4rem .8rem .4rem 0;border-bottom:1px solid var(--line);vertical-align:top;font-weight:400}
thead th{color:var(--quiet);font-size:.85rem}.n{font-variant-numeric:tabular-nums;white-space:nowrap}
.better td:nth-child(4),.better .n:first-child{color:var(--good)}.worse td:nth-child(4),.worse summary .n{color:var(--bad)}
details.better summary .n{color:var(--good)}details{border-bottom:1px solid var(--line);padding:.4rem 0}summary{cursor:pointer}
pre{white-space:pre-wrap;overflow-wrap:anywhere;margin:0 0 .4rem;font:14px/1.45 ui-monospace,monospace}
.sides{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(18rem,1fr))}
"""
