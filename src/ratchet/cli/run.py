"""`ratchet run`"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import typer

from ratchet.app.paths import DataDir
from ratchet.cli.context import options_of, plain, print_json, print_record, print_table, when
from ratchet.cli.loading import control, load
from ratchet.cli.progress import Bar, dollars, run_stoppable
from ratchet.domain.counting import plural
from ratchet.domain.runs import Run
from ratchet.evals.switch import Switch

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Runs: cases asked of candidates, and what came of it."
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_COLUMNS = 12  # of a table that is read line by line
STOPPED_EXIT = 3  # cancelled, or stopped by a limit: what is done is kept, and `resume` goes on


@app.command()
def start(
    context: typer.Context,
    suite: Annotated[Path, typer.Argument(help="The suite: a YAML or TOML file.")],
    candidates: Annotated[
        str | None,
        typer.Option(help="In place of the suite's, with commas: prompt:a@x,route:b,provider/model,…"),
    ] = None,
    dataset: Annotated[
        str, typer.Option(help="In place of the suite's: a file, or a registered dataset.")
    ] = "",
    concurrency: Annotated[int | None, typer.Option(min=1, help="Answers under way at once.")] = None,
    repeats: Annotated[int | None, typer.Option(min=1, help="How often each case is asked.")] = None,
    max_cost: Annotated[
        float | None, typer.Option(min=0, help="US dollars; stops before more is spent.")
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Ask everything anew, whatever earlier runs asked.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run a suite."""
    order = order_of(
        suite,
        candidates=candidates,
        dataset=dataset,
        concurrency=concurrency,
        repeats=repeats,
        max_cost=max_cost,
        cache=not no_cache,
    )

    def work(config: Path, data: DataDir, bar: Bar, switch: Switch) -> Awaitable[Any]:
        return load("app.runs").start_run(config, data, order, watcher=bar, switch=switch)

    _perform(context, work, as_json=as_json)


@app.command()
def resume(
    context: typer.Context,
    run: str,
    as_json: AsJson = False,
    supervised: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Go on with a run that was interrupted, cancelled or stopped. What is paid for is not asked again."""

    def work(config: Path, data: DataDir, bar: Bar, switch: Switch) -> Awaitable[Any]:
        return load("app.runs").resume_run(config, data, run, watcher=bar, switch=switch)

    _perform(context, work, as_json=as_json, supervised=supervised)


@app.command("list")
def list_(
    context: typer.Context,
    suite: Annotated[str, typer.Option(help="Only runs of this suite.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Show the newest runs."""
    with control(context) as api:
        found = api.ask("GET", "/api/runs", {"suite": suite, "limit": limit})
    if as_json:
        print_json(found)
        return
    print_table(
        [_line(run) for run in found],
        empty="There are no runs yet. Begin one with: ratchet run start suite.yaml",
    )


@app.command()
def show(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="Its id, the beginning of it, or `latest`.")] = "latest",
    cases: Annotated[bool, typer.Option("--cases", help="A line for each answer.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show one run: its candidates, what each scored, cost and took."""
    with control(context, drain=cases or as_json) as api:
        found = api.ask("GET", _path(run))
        results: list[dict[str, Any]] = []
        if cases or as_json:
            results = api.ask("GET", _path(run, "/results"), {"whole": "1"})
    if as_json:
        print_json({**found, "results": results})
        return
    known = msgspec.convert({**found, "status": found["state"]}, Run)
    print_record(_about(known))
    typer.echo()
    if cases:
        print_table([_answer(each) for each in results], empty="Nothing has been answered yet.")
        typer.echo()
    show_summary(known, look=False)


@app.command()
def compare(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="The run of the baseline.")],
    other: Annotated[str, typer.Argument(help="The run of the candidate; the same one unless given.")] = "",
    baseline: Annotated[str, typer.Option(help="A candidate of the first run.")] = "",
    candidate: Annotated[str, typer.Option(help="A candidate of the other run.")] = "",
    html: Annotated[Path | None, typer.Option(help="Write a report that needs nothing else.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML: worse cases have failed.")] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Write Markdown, for a comment on a pull request.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two candidates on the same cases."""
    query = {"with": other, "baseline": baseline, "candidate": candidate}
    with control(context, drain=True) as api:
        found = api.ask("GET", _path(run, "/comparison"), query)
        ids = [found[side]["run_id"] for side in ("baseline", "candidate")]
        results: dict[str, list[Any]] = {each: [] for each in ids}
        cases: list[Any] = []
        if html is not None:
            results = {each: api.ask("GET", _path(each, "/results"), {"whole": "1"}) for each in ids}
            cases = api.ask("GET", _path(ids[1], "/cases"))
    shown = load("cli.run_compare")
    if html is not None or junit is not None or markdown is not None:
        files = shown.Files(html=html, junit=junit, markdown=markdown)
        shown.write_reports(found, (results[ids[0]], results[ids[1]]), cases, files)
    shown.show_comparison(found, as_json=as_json)


@app.command()
def downsize(
    context: typer.Context,
    run: Annotated[str, typer.Argument(help="Its id, the beginning of it, or `latest`.")] = "latest",
    epsilon: Annotated[
        float, typer.Option(min=0, help="How much worse it may be, in the scorer's units.")
    ] = 0.02,
    alpha: Annotated[float, typer.Option(help="How often what is proposed may be worse than that.")] = 0.05,
    scorer: Annotated[str, typer.Option(help="By which scorer; the leading one unless given.")] = "",
    baseline: Annotated[str, typer.Option(help="What is in use; the first candidate unless given.")] = "",
    as_json: AsJson = False,
) -> None:
    """Propose the cheapest candidate that is not worse than the baseline by more than epsilon."""
    query = {"epsilon": epsilon, "alpha": alpha, "scorer": scorer, "baseline": baseline}
    with control(context, drain=True) as api:
        found = api.ask("GET", _path(run, "/downsize"), query)
    if as_json:
        print_json(found)
        return
    proposed = found["proposed"]
    base = f"{plain(found['baseline'])}, {dollars(found['baseline_cost'])} an answer"
    if proposed:
        typer.echo(f"{plain(proposed)} in place of {base}:")
    else:
        typer.echo(
            f"Nothing that is cheaper than {base}, is surely no more than {epsilon:g} worse by {found['scorer']}."
        )
    rows = [
        {
            "candidate": each["candidate"],
            "cost/answer": dollars(each["cost"]),
            "saves": f"{each['saving']:.0%}",
            "verdict": each["verdict"]["verdict"],
            "reason": each["verdict"]["reason"],
        }
        for each in found["smaller"]
    ]
    print_table(rows, empty="No candidate with a known cost is cheaper.")
    if found["unpriced"]:
        typer.echo(f"What these cost is not known: {plain(', '.join(found['unpriced']))}")


@app.command()
def cancel(context: typer.Context, run: str, as_json: AsJson = False) -> None:
    """Stop a run: what is under way ends, what is done is kept, and it can be resumed."""
    with control(context) as api:
        found = api.ask("POST", _path(run, "/cancel"))
    if as_json:
        print_json(found)
    else:
        typer.echo(f"The run {found['id']} is {found['state']}.")


def _path(run: str, rest: str = "") -> str:
    return f"/api/runs/{quote(run, safe='')}{rest}"


def _line(run: dict[str, Any]) -> dict[str, str]:
    progress = run.get("progress", {})
    return {
        "run": run["id"],
        "suite": run["suite"],
        "state": run["state"],
        "candidates": ", ".join(each["name"] for each in run["candidates"]),
        "answers": f"{progress.get('done', 0):,}/{progress.get('total', 0):,}",
        "paid": dollars(progress.get("cost", 0)),
        "begun": when(run["created"]),
        "by": run.get("author", ""),
    }


def _about(run: Run) -> dict[str, str]:
    took = (
        "" if run.ended is None or run.started is None else f", took {(run.ended - run.started) / 1e9:,.1f} s"
    )
    return {
        "run": run.id,
        "suite": run.suite,
        "dataset": f"{run.dataset}, version {run.dataset_version}, {plural(run.cases, 'case')}",
        "status": run.status + (f": {run.reason}" if run.reason else ""),
        "begun": f"{when(run.created)} by {run.author}{took}",
    }


def _answer(result: dict[str, Any]) -> dict[str, str]:
    output = result["output"]
    verdicts = {each["name"]: each for each in result["verdicts"]}
    return {
        "case": result["case_id"],
        "candidate": result["candidate"],
        **({"repeat": str(result["repeat"])} if result.get("repeat") else {}),
        **{
            name: f"{each['value']:.3g}" if each["value"] is not None else each.get("label") or "-"
            for name, each in verdicts.items()
        },
        "answer": output.get("error") or output.get("text", ""),
    }


def order_of(
    suite: Path, *, candidates: str | None = None, dataset: str = "", cache: bool = True, **keys: Any
) -> Any:
    """What a suite file and the options beside it ask for. What is None is as the suite says."""
    changes = {
        "candidates": None
        if candidates is None
        else [each.strip() for each in candidates.split(",") if each.strip()],
        "dataset": (str(Path(dataset).resolve()) if Path(dataset).is_file() else dataset) or None,
        **keys,
    }
    read = load("evals.suite").read_suite
    return load("app.planning").Order(
        suite=read(suite, {key: value for key, value in changes.items() if value is not None}),
        folder=suite.resolve().parent,
        cache=cache,
    )


def performed(
    context: typer.Context,
    work: Callable[[Path, DataDir, Bar, Switch], Awaitable[Any]],
    *,
    quiet: bool,
    supervised: bool = False,
) -> Any:
    """What `work` gives, with a progress bar unless `quiet`; Ctrl-C stops it."""
    options = options_of(context)
    data = DataDir.at(options.data_dir)
    bar = Bar(quiet=quiet)
    try:
        # What people's own code prints must not stand among what this command says.
        with contextlib.redirect_stdout(sys.stderr):
            return run_stoppable(
                lambda switch: work(options.config, data, bar, switch), supervised=supervised
            )
    finally:
        bar.close()


def _perform(
    context: typer.Context,
    work: Callable[[Path, DataDir, Bar, Switch], Awaitable[Any]],
    *,
    as_json: bool,
    supervised: bool = False,
) -> None:
    run: Run = performed(context, work, quiet=as_json, supervised=supervised).run
    if as_json:
        print_json(msgspec.to_builtins(run))
    else:
        show_summary(run)
    if run.status != "done":
        raise typer.Exit(1 if run.status == "failed" else STOPPED_EXIT)


def show_summary(run: Run, *, look: bool = True) -> None:
    """The table of a run, what of it is unscored, and what failed. `look` says where to see it again."""
    print_table(_lines(run), empty="Nothing has been answered yet.")
    for note in notes_on(run):
        typer.echo(plain(note))
    progress = run.progress
    cached = f", {progress.cached:,} from the cache" if progress.cached else ""
    failed = f", {progress.errors:,} failed" if progress.errors else ""
    unpriced = (
        f" ({plural(progress.unpriced, 'call has', 'calls have')} no known price)"
        if progress.unpriced
        else ""
    )
    typer.echo(
        f"\n{progress.done:,} of {progress.total:,} answers{cached}{failed}; paid {dollars(progress.cost)}{unpriced}."
    )
    if run.status == "done" and look:
        typer.echo(f"Look at it with: ratchet run show {run.id}")
    elif run.status != "done":
        typer.echo(f"The run is {run.status}: {plain(run.reason)}. Go on with: ratchet run resume {run.id}")


def _lines(run: Run) -> list[dict[str, str]]:
    """A line for each candidate; one for each scorer where there are more of them than fit side by side."""
    found: Sequence[dict[str, Any]] = run.summary.get("candidates", [])
    several = sum(bool(each["answers"]) for each in found) > 1
    lines = [
        {
            "candidate": each["name"],
            **{scorer["name"]: interval(scorer["mean"]) for scorer in each["scorers"]},
            "cost/answer": dollars(each["cost"]["value"]) if each["answers"] else "-",
            "median": seconds(each["median_latency"]),
            "p95": seconds(each["p95_latency"]),
            **({"front": "●" if each["front"] else ""} if several else {}),
        }
        for each in found
    ]
    if not lines or len(lines[0]) <= _COLUMNS:
        return lines
    return [
        {"": name, **{line["candidate"]: line[name] for line in lines}}
        for name in lines[0]
        if name != "candidate"
    ]


def notes_on(run: Run) -> list[str]:
    """What the means leave out: answers without a score, and answers that failed, with why."""
    notes: list[str] = []
    for each in run.summary.get("candidates", []):
        unscored: dict[int, list[str]] = {}
        for scorer in each["scorers"]:
            if count := scorer["unscored"] - each["errors"]:
                unscored.setdefault(count, []).append(scorer["name"])
        notes += [
            f"{each['name']}: {', '.join(names)} unscored in {count:,} of {each['answers']:,} answers"
            for count, names in unscored.items()
            if count > 0
        ]
        notes += [
            f"{each['name']}: {count:,} of {each['answers']:,} failed: {problem}"
            for problem, count in each.get("problems", {}).items()
        ]
    return ["", *notes] if notes else []


def interval(mean: dict[str, Any]) -> str:
    """An estimate with its interval: 0.82 (0.78–0.86)."""
    if mean["value"] is None:
        return "-"
    if mean["low"] is None or mean["high"] is None:
        return f"{mean['value']:.3g}"
    return f"{mean['value']:.3g} ({mean['low']:.3g}–{mean['high']:.3g})"


def seconds(value: float | None) -> str:
    return "-" if value is None else f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"
