"""The pages of runs: the list, one run as a grid of cases and candidates, one case side by side, a comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import msgspec
from starlette.responses import Response

from ratchet.domain.access import Role
from ratchet.domain.cases import Case
from ratchet.domain.datasets import SEALED
from ratchet.domain.runs import Result, Run
from ratchet.errors import InvalidRequest, NotFound, RatchetError, Unavailable
from ratchet.evals import wording
from ratchet.evals.keeping import about_from
from ratchet.evals.suite import suite_of
from ratchet.scorers.scorer import ScorerAbout
from ratchet.store.records.datasets import list_datasets
from ratchet.store.records.runs import find_run, list_runs
from ratchet.studio.late import load
from ratchet.studio.listing import whole
from ratchet.studio.pages.run_api import cancel_run
from ratchet.studio.queueing import queue_run, suite_of_form
from ratchet.studio.rendering import fragment, page, see_other
from ratchet.studio.run_grid import ORDERS, SHOWN, GridQuery, asked_of, grid_of
from ratchet.studio.run_results import results_of, shown_cases, state_of
from ratchet.studio.run_views import Changes, bars_of, pareto, side_by_side
from ratchet.studio.services import Visit
from ratchet.studio.sides import Side, sides_of
from ratchet.studio.visiting import Asked, Typed

__all__ = [
    "begin_from_page",
    "cancel_from_page",
    "case_page",
    "comparison_page",
    "progress_fragment",
    "resume_from_page",
    "run_page",
    "runs_page",
]

_PAGE = 50
_LIVE = ("queued", "running", "cancelling")
_FIELDS = ("name", "dataset", "candidates", "scorers", "repeats", "concurrency", "max_cost")


def runs_page(asked: Asked) -> Response:
    """Every run, newest first; `?new` shows the form that begins one."""
    return _listed(asked, {}, None)


def begin_from_page(asked: Asked, typed: Typed) -> Response:
    """Begin a run of what the form says; what is wrong is said beside it."""
    fields = {name: (typed.get(name) or [""])[0] for name in _FIELDS}
    try:
        run = queue_run(asked, suite_of_form(fields))
    except (InvalidRequest, NotFound, Unavailable) as error:
        return _listed(asked, fields, error)
    return see_other(f"/runs/{run.id}")


def run_page(asked: Asked, run_id: str) -> Response:
    """One run: its candidates' figures, and every case as a row."""
    run = _run(asked, run_id)
    params = asked.request.query_params
    scorers = _scorers(run)
    names = [each.name for each in run.candidates]
    query = GridQuery(
        scorer=_known(params, "scorer", [each.name for each in scorers]),
        baseline=_known(params, "baseline", names),
        shown=_known(params, "show", list(SHOWN)),
        order=_known(params, "order", list(ORDERS)),
        text=params.get("q", "").strip(),
        tag=params.get("tag", "").strip(),
    )
    about = next((each for each in scorers if each.name == query.scorer), ScorerAbout(name="", title=""))
    offset = whole(params, "offset", 0, at_least=0, at_most=10**7)
    problem: RatchetError | None = None
    results: list[Result] = []
    cases = shown_cases(asked, run)
    try:
        results = results_of(asked, run, cases)
    except Unavailable as error:
        problem = error
    grid = grid_of(cases, results, names, about, query, limit=_PAGE, offset=offset)
    return page(
        asked,
        "run.html",
        run=run,
        state=state_of(run, asked.services.now()),
        live=state_of(run, asked.services.now()) in _LIVE,
        may_begin=_may_begin(asked),
        resumable=_resumable(run),
        bars=bars_of(run),
        chart=pareto(run),
        grid=grid,
        query=query,
        about=about,
        scorers=scorers,
        names=names,
        shown=SHOWN,
        orders=ORDERS,
        tags=sorted({tag for case in cases for tag in case.tags}),
        offset=offset,
        size=_PAGE,
        link=_Link(f"/runs/{run.id}", dict(params)),
        problem=problem,
    )


def progress_fragment(asked: Asked, run_id: str) -> Response:
    """How far a run is; once it has ended, the page is loaded anew."""
    run = _run(asked, run_id)
    state = state_of(run, asked.services.now())
    found = fragment(asked, "run_progress.html", run=run, state=state, live=state in _LIVE)
    if state not in _LIVE:
        found.headers["hx-refresh"] = "true"
    return found


def case_page(asked: Asked, run_id: str, case: str = "", baseline: str = "") -> Response:
    """One case: what each candidate answered, beside what the baseline did, with every verdict."""
    run = _run(asked, run_id)
    cases = shown_cases(asked, run)
    found = next((each for each in cases if each.id == case), None)
    if found is None:
        raise NotFound(f"The run {run.id} has no case {case!r}.", "Go back to the run and choose one.")
    results = results_of(asked, run, [found], whole=True, some=True)
    names = [each.name for each in run.candidates]
    at = cases.index(found)
    return page(
        asked,
        "run_case.html",
        run=run,
        case=found,
        sealed=found.split == SEALED,
        asked_of=asked_of(found),
        columns=side_by_side(results, names, baseline if baseline in names else names[0]),
        before=cases[at - 1].id if at else None,
        after=cases[at + 1].id if at + 1 < len(cases) else None,
        place=at + 1,
        total=len(cases),
    )


def comparison_page(asked: Asked, run_id: str) -> Response:
    """Two candidates on the same cases, of one run or of two."""
    params = asked.request.query_params
    sides = sides_of(
        asked, run_id, params.get("with", ""), params.get("baseline", ""), params.get("candidate", "")
    )
    compared = load("studio.comparing:compared")(asked, *sides)
    scorers = compared.view.comparison.scorers
    chosen = _known(params, "scorer", [each.scorer for each in scorers])
    scorer = next((each for each in scorers if each.scorer == chosen), None)
    change = _known(params, "show", ["worse", "better", "same", "unscored"])
    offset = whole(params, "offset", 0, at_least=0, at_most=10**7)
    changes = Changes.of(compared.cases, scorer, change, offset, _PAGE)
    changes = changes.with_answers(*_answers(asked, sides, compared.cases, changes))
    return page(
        asked,
        "run_compare.html",
        view=compared.view,
        comparison=compared.view.comparison,
        scorer=scorer,
        change=change,
        changes=changes,
        offset=offset,
        size=_PAGE,
        run=sides[0].run,
        other=sides[1].run,
        runs=_comparable(asked, sides[0].run),
        words=wording,
        link=_Link(f"/runs/{sides[0].run.id}/compare", dict(params)),
    )


def cancel_from_page(asked: Asked, run_id: str) -> Response:
    cancel_run(asked, run_id)
    return see_other(f"/runs/{run_id}")


def resume_from_page(asked: Asked, run_id: str) -> Response:
    """Go on with a run that the studio began."""
    run = _run(asked, run_id)
    if not _resumable(run) or asked.services.begin_run is None:
        raise InvalidRequest(
            f"The run {run.id} was begun elsewhere.", f"There, `ratchet run resume {run.id}` goes on."
        )
    asked.services.begin_run(run.id)
    return see_other(f"/runs/{run.id}")


def _answers(
    asked: Visit, sides: Sequence[Side], known: Sequence[Case], changes: Changes
) -> list[list[Result]]:
    """What each side answered to the cases that are shown."""
    ids = {row.case_id for row in changes.rows}
    cases = [case for case in known if case.id in ids]
    runs = {side.run.id: side.run for side in sides}
    found = {key: results_of(asked, run, cases, some=True) for key, run in runs.items()}
    return [[each for each in found[side.run.id] if each.candidate == side.candidate] for side in sides]


class _Link:
    """Addresses of a page with other parameters; "" takes one out, and a change begins at the first page."""

    def __init__(self, path: str, params: Mapping[str, str]) -> None:
        self._path = path
        self._params = {name: value for name, value in params.items() if value}

    def __call__(self, **changes: object) -> str:
        found = {**self._params, "offset": "", **{name: str(value) for name, value in changes.items()}}
        query = urlencode({name: value for name, value in found.items() if value not in ("", "0")})
        return f"{self._path}?{query}" if query else self._path

    @property
    def params(self) -> Mapping[str, str]:
        return self._params


def _listed(asked: Visit, fields: Mapping[str, str], error: RatchetError | None) -> Response:
    params = asked.request.query_params
    offset = whole(params, "offset", 0, at_least=0, at_most=10**7)
    suite, status = params.get("suite", ""), params.get("status", "")
    found = list_runs(
        asked.services.records,
        project_id=asked.project_id,
        suite=suite,
        status=status,
        limit=_PAGE + 1,
        offset=offset,
    )
    now = asked.services.now()
    again = params.get("again", "")
    if again and not fields:
        fields = _fields_of(_run(asked, again))
    return page(
        asked,
        "runs.html",
        status=200 if error is None else error.status,
        rows=[(run, state_of(run, now), bars_of(run)) for run in found[:_PAGE]],
        more=len(found) > _PAGE,
        offset=offset,
        size=_PAGE,
        suite=suite,
        form_open=error is not None or "new" in params or bool(again),
        fields={name: fields.get(name, "") for name in _FIELDS},
        error=error,
        datasets=[
            dataset.name for dataset, _ in list_datasets(asked.services.records, project_id=asked.project_id)
        ],
        may_begin=_may_begin(asked),
        link=_Link("/runs", dict(params)),
        live=any(state_of(run, now) in _LIVE for run in found),
    )


def _fields_of(run: Run) -> dict[str, str]:
    """The form as it would have begun this run."""
    own = msgspec.structs.asdict(run)["settings"]
    suite = suite_of({key: value for key, value in own.items() if key not in ("folder", "cache", "queued")})
    encode = msgspec.json.encode
    return {
        "name": run.suite,
        "dataset": run.dataset,
        "candidates": "\n".join(
            each.label
            if each.label == str(each.target) or each.label == f"{each.kind}:{each.target}"
            else encode(each.model_dump(exclude_defaults=True)).decode()
            for each in suite.candidates
        ),
        "scorers": "\n".join(
            each if isinstance(each, str) else encode(each).decode() for each in suite.scorers
        ),
        "repeats": str(suite.repeats) if suite.repeats > 1 else "",
        "max_cost": "" if suite.max_cost is None else f"{suite.max_cost:g}",
    }


def _comparable(asked: Visit, run: Run) -> Sequence[Run]:
    """Runs that may stand on the other side: those of the same suite or dataset, newest first."""
    found = list_runs(asked.services.records, project_id=asked.project_id, limit=200)
    return [
        each for each in found if each.candidates and (each.suite == run.suite or each.dataset == run.dataset)
    ][:30]


def _run(asked: Visit, run_id: str) -> Run:
    return find_run(asked.services.records, project_id=asked.project_id, text=run_id)


def _scorers(run: Run) -> list[ScorerAbout]:
    """Each scorer, and each of its parts, which a grid can show as well."""
    found: list[ScorerAbout] = []
    for kept in run.scorers:
        about = about_from(kept)
        found.append(about)
        found += [_part(about, f"{about.name}.{part}") for part in about.parts]
    return found


def _part(about: ScorerAbout, name: str) -> ScorerAbout:
    return ScorerAbout(name=name, title=name, higher_is_better=about.higher_is_better, low=None, high=None)


def _known(params: Mapping[str, str], name: str, among: Sequence[str]) -> str:
    """A parameter's value where it is one of these, else the first of them."""
    value = params.get(name, "")
    return value if value in among else among[0] if among else ""


def _may_begin(asked: Visit) -> bool:
    return asked.services.begin_run is not None and asked.member.role >= Role.DEVELOPER


def _resumable(run: Run) -> bool:
    return bool(run.settings.get("queued")) and run.status in ("cancelled", "stopped", "failed")
