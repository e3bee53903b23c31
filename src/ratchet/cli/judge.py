"""`ratchet judge`"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ratchet.app.paths import DataDir
from ratchet.cli.context import Options, options_of, plain, print_json, print_record, print_table
from ratchet.cli.loading import control, load
from ratchet.errors import InvalidRequest

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Judges: scorers that ask a model, tested against people.",
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_SUITES = {".yaml", ".yml", ".toml"}


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show the judges that are built in."""
    judges = [about for about in load("scorers.registry").list_scorers() if about.group == "judge"]
    prompts = load("scorers.judges.prompts").PROMPTS
    found = [
        {
            "name": about.name,
            "title": about.title,
            "better": "higher" if about.higher_is_better else "lower",
            "prompt": prompts[about.name].hash if about.name in prompts else "",
        }
        for about in judges
    ]
    if as_json:
        print_json(found)
        return
    print_table([{**judge, "prompt": judge["prompt"] or "-"} for judge in found], empty="")


@app.command()
def show(
    judge: Annotated[str, typer.Argument(help="A built-in judge, or one as a suite writes it.")],
    as_json: AsJson = False,
) -> None:
    """Show what a judge is asked, word for word, and what it can be told."""
    registry = load("scorers.registry")
    spec = _spec(judge)
    prompt = load("scorers.judges.prompts").PROMPTS.get(spec) if isinstance(spec, str) else None
    name = spec if isinstance(spec, str) else registry.read_spec(spec)[0]
    keys = registry.scorer_settings(name)
    if not any(key.required for key in keys) or not isinstance(spec, str):
        settings = registry.read_spec(spec)[1]
        prompt = settings.judge_prompt() if hasattr(settings, "judge_prompt") else None
    if as_json:
        shown = msgspec.to_builtins(prompt) | {"hash": prompt.hash} if prompt else {"name": name}
        print_json(shown | {"settings": [{"key": key.key, "expected": key.expected} for key in keys]})
        return
    if prompt is not None:
        print_record({"judge": name, "prompt": f"{prompt.name}@{prompt.hash}"})
        for title, text in (("System", prompt.system), ("User", prompt.user), *prompt.given.items()):
            typer.echo(f"\n{title}:\n" + "\n".join(f"  {plain(line)}" for line in text.splitlines()))
        typer.echo("\nVerdict:\n  " + msgspec.json.encode(prompt.schema).decode())
    else:
        print_record({"judge": name, "prompt": "none: it compares what the candidate answers"})
    typer.echo("\nSettings:\n" + "\n".join(f"  {key.key}: {key.expected}" for key in keys))


@app.command("test")
def measure(
    context: typer.Context,
    judge: Annotated[
        list[str],
        typer.Option(help="A built-in judge, one as a suite writes it, or a suite file; repeat for more."),
    ],
    file: Annotated[
        Path | None,
        typer.Argument(help="JSONL: a case's fields with `output`, `label` and perhaps `by` in each line."),
    ] = None,
    run: Annotated[
        str, typer.Option(help="In place of a file: a run whose answers people have scored.")
    ] = "",
    label: Annotated[str, typer.Option(help="With --run: the name of those scores.")] = "",
    unlabelled: Annotated[
        int, typer.Option(min=0, help="With --run: so many other answers to judge too, drawn at random.")
    ] = 200,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A route or provider/model to judge with, in place of the judge's own; repeat for more."
        ),
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=1024, help="Calls at once.")] = 16,
    pairs: Annotated[
        int, typer.Option(min=0, help="Pairs of outputs for one question to show in both orders, at most.")
    ] = 100,
    seed: Annotated[int, typer.Option(help="Of the intervals' resampling, and of what is drawn.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Measure how far judges agree with people, and what moves them that should not."""
    specs = [spec for given in judge for spec in _specs(given)]
    rows = _labelled(context, file, run, label, unlabelled, seed)
    settings = {"models": model or [], "concurrency": concurrency, "pairs": pairs, "seed": seed}
    tests = _tests(options_of(context), rows, specs, settings)
    if as_json:
        print_json([msgspec.to_builtins(found) for found in tests])
    else:
        _show(tests)


def _tests(options: Options, rows: Any, specs: Sequence[Any], settings: dict[str, Any]) -> Sequence[Any]:
    """Every judge over every row, with a bar for each."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("${task.fields[cost]:.4f}"), TimeRemainingColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    bars: dict[int, TaskID] = {}
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:

        def told(judging: Any, done: int, total: int, cost: Any) -> None:
            if id(judging) not in bars:
                bars[id(judging)] = progress.add_task(f"{judging.name} with {judging.model}", cost=0.0)
            progress.update(bars[id(judging)], completed=done, total=total, cost=float(cost))

        work = load("app.judging").judge_tests(
            options.config, DataDir.at(options.data_dir), rows, judges=specs, told=told, **settings
        )
        return asyncio.run(work)


def _labelled(
    context: typer.Context, file: Path | None, run: str, label: str, unlabelled: int, seed: int
) -> Any:
    if (file is None) == (not run):
        raise InvalidRequest("It is not said which outputs.", "Give a file, or --run and --label.")
    judging = load("app.judging")
    if file is not None:
        return judging.labelled_in_file(file)
    if not label:
        raise InvalidRequest(
            "It is not said which scores of the run.", "Name them: --label NAME.", param="label"
        )
    with control(context, drain=True) as api:
        return judging.labelled_in_run(api, run, label, unlabelled=unlabelled, seed=seed)


def _specs(given: str) -> Sequence[Any]:
    """What one --judge names: a judge, or every judge of a suite file."""
    if Path(given).suffix not in _SUITES or "{" in given:
        return [_spec(given)]
    suite = load("evals.suite").read_suite(Path(given))
    known = {about.name for about in load("scorers.registry").list_scorers() if about.group == "judge"}
    found = [
        spec for spec in suite.scorers if (spec if isinstance(spec, str) else next(iter(spec), "")) in known
    ]
    if not found:
        raise InvalidRequest(f"The suite {given} has no judge.", "Add one to its `scorers`.", param="judge")
    return found


def _spec(given: str) -> Any:
    """`factual`, or YAML such as `judge: {rubric: Is it short?}`."""
    if re.fullmatch(r"\w+", given):
        return given
    yaml_text = load("prompts.yaml_text")
    try:
        found, _lines = yaml_text.load(given)
    except yaml_text.Misread as error:
        raise InvalidRequest(
            f"--judge {given!r} is not YAML: {error.problem}.", "Write a name, or {judge: {rubric: …}}."
        ) from None
    return found


def _show(tests: Sequence[Any]) -> None:
    """A line for each judge: agreement, then biases; then where each differs from people most."""
    print_table([_agreement(found) for found in tests], empty="")
    typer.echo()
    print_table([_biases(found) for found in tests], empty="")
    for found in tests:
        for why, count in found.unscored.items():
            typer.echo(f"{found.judge} with {found.model}: {count} unscored: {plain(why)}")
    for found in tests:
        mean = found.calibration.mean
        if mean and mean.labels < found.outputs:
            halve = f"; {mean.labels_to_halve} more labels would halve that" if mean.labels_to_halve else ""
            typer.echo(
                f"{found.judge} with {found.model}: mean {_estimate(mean.judged)} by the judge, {_estimate(mean.corrected)} "
                f"corrected by {mean.labels} labels{halve}."
            )
            typer.echo(f"  {_chosen(mean.selection)}")
        if found.disagreements:
            typer.echo(f"\nWhere {found.judge} with {found.model} differs most from people:")
            rows = [
                {"where": one.name or f"line {one.line}", "people": f"{one.human:.2f}", "judge": f"{one.judge:.2f}", "output": one.output, "reasoning": one.reasoning}
                for one in found.disagreements[:3]
            ]  # fmt: skip
            print_table(rows, empty="")


def _chosen(selection: Any) -> str:
    """Whether what people labelled may be a random sample, as far as the judge tells."""
    ways = "Agreement holds for outputs like those that people labelled; the corrected mean only if they were drawn at random."
    if selection is None:
        return ways
    told = f"On them the judge's mean differs by {_estimate(selection)} from that on the others"
    if selection.low is not None and (selection.low > 0 or selection.high < 0):
        return f"{told}: they were not drawn at random, and the corrected mean is not to be trusted. {ways}"
    return f"{told}, which does not speak against that. {ways}"


def _agreement(found: Any) -> dict[str, str]:
    calibration = found.calibration
    return {
        "judge": found.prompt,
        "model": found.model,
        "rated": f"{calibration.rated} of {found.outputs}",
        "agreement": _estimate(calibration.agreement),
        "kappa": _estimate(calibration.weighted_kappa or calibration.kappa),
        "alpha": _estimate(calibration.alpha),
        "cost": "unknown" if found.cost is None else f"${found.cost:.4f}",
    }


def _biases(found: Any) -> dict[str, str]:
    calibration, position = found.calibration, found.position
    return {
        "judge": found.prompt,
        "model": found.model,
        "over people": _estimate(calibration.bias),
        "per doubling": _estimate(calibration.length_bias),
        "own family": _estimate(calibration.self_preference),
        "flips": _estimate(position.flipped if position else None),
        "first over second": _estimate(position.lean if position else None),
    }


def _estimate(estimate: Any) -> str:
    """0.82 (0.71 to 0.90)"""
    if estimate is None or estimate.value is None:
        return "-"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"
