"""`ratchet score`"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ratchet.cli.context import print_json, print_table, when
from ratchet.cli.loading import control

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Scores: judgements of traces, spans and sessions."
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_(
    context: typer.Context,
    trace_id: Annotated[str, typer.Option(help="The trace it is about.")] = "",
    span_id: Annotated[str, typer.Option(help="The span of that trace.")] = "",
    session_id: Annotated[str, typer.Option(help="The conversation it is about.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show scores, newest first."""
    asked = {"trace_id": trace_id, "span_id": span_id, "session_id": session_id, "limit": limit}
    with control(context, drain=True) as api:
        scores = api.ask("GET", "/api/scores", query=asked)
    if as_json:
        print_json(scores)
        return
    print_table(
        [
            {
                "time (UTC)": when(score["time"]),
                "name": score["name"],
                "value": "-" if score["value"] is None else f"{score['value']:g}",
                "label": score["label"],
                "source": score["source"],
                "trace": score["trace_id"],
                "comment": score["comment"][:60],
            }
            for score in scores
        ],
        empty="No score matches.",
    )


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="What is judged, e.g. correctness.")],
    trace_id: Annotated[str, typer.Option(help="The trace it is about.")] = "",
    span_id: Annotated[str, typer.Option(help="The span of that trace.")] = "",
    session_id: Annotated[str, typer.Option(help="The conversation it is about.")] = "",
    value: Annotated[float | None, typer.Option(help="A number; 1 and 0 for thumbs.")] = None,
    label: Annotated[str, typer.Option(help="A word instead of a number, e.g. rude.")] = "",
    comment: Annotated[str, typer.Option(help="Why.")] = "",
    correction: Annotated[str, typer.Option(help="What the answer should have been.")] = "",
    as_json: AsJson = False,
) -> None:
    """Judge a trace, a span or a session."""
    body: dict[str, Any] = {
        "name": name,
        "trace_id": trace_id,
        "span_id": span_id,
        "session_id": session_id,
        "value": value,
        "label": label,
        "comment": comment,
        "correction": correction,
    }
    with control(context) as api:
        made = api.ask("POST", "/api/scores", body=body)
    if as_json:
        print_json(made)
    else:
        typer.echo(f"Kept as {made['score_id']}.")
