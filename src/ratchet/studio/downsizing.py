"""Proposing a cheaper candidate from what the stores hold. Loaded late, as comparisons are."""

from __future__ import annotations

from ratchet.domain.runs import Run
from ratchet.errors import NotFound
from ratchet.evals.gathering import gather_figures
from ratchet.evals.keeping import about_from
from ratchet.release.downsize import Downsized, downsize
from ratchet.scorers.scorer import ScorerAbout
from ratchet.store.records.runs import cases_of_run
from ratchet.studio.services import Visit

__all__ = ["downsized"]


def downsized(asked: Visit, run: Run, baseline: str, scorer: str, epsilon: float, alpha: float) -> Downsized:
    """`baseline` "" is the first candidate, `scorer` "" the leading one. Raises NotFound, InvalidRequest, Unavailable."""
    names = [each.name for each in run.candidates]
    base = _one_of(run, "candidate", baseline or (names[0] if names else ""), names)
    abouts: dict[str, ScorerAbout] = {str(kept["name"]): about_from(kept) for kept in run.scorers}
    chosen = _one_of(run, "scorer", scorer or str(run.summary.get("leading", "")), list(abouts))
    figures = asked.services.spans().figures(
        run.project_id, run.id, names, since=run.created, until=run.ended
    )
    results = gather_figures(figures, cases_of_run(asked.services.records, run.id))
    return downsize(
        {name: results.get(name, []) for name in names}, base, abouts[chosen], epsilon=epsilon, alpha=alpha
    )


def _one_of(run: Run, what: str, name: str, names: list[str]) -> str:
    if name not in names:
        raise NotFound(
            f"The run {run.id} has no {what} {name!r}.", f"It has {', '.join(names) or 'none'}.", param=what
        )
    return name
