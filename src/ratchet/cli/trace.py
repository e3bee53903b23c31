"""`ratchet trace`"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from ratchet.cli.context import Moment, plain, print_json, print_record, print_table, when
from ratchet.cli.loading import control

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Traces: what happened.")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20,
    query: Annotated[str, typer.Option("--query", "-q", help="Words in messages, names and errors.")] = "",
    since: Moment = "",
    until: Moment = "",
    route: Annotated[str, typer.Option(help="The model name that the app asked for.")] = "",
    model: Annotated[str, typer.Option(help="The upstream model.")] = "",
    user: Annotated[str, typer.Option(help="The end user, as the app names them.")] = "",
    session: Annotated[str, typer.Option(help="The conversation, as the app names it.")] = "",
    status: Annotated[str, typer.Option(help="ok or error.")] = "",
    score: Annotated[str, typer.Option(help="The name of a score they have.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show the newest traces."""
    asked: dict[str, Any] = {
        "limit": limit,
        "q": query,
        "since": since,
        "until": until,
        "route": route,
        "model": model,
        "user": user,
        "session": session,
        "status": status,
        "score": score,
    }
    with control(context, drain=True) as api:
        page = api.ask("GET", "/api/traces", query=asked)
    if as_json:
        print_json(page["rows"])
        return
    print_table([_row(trace) for trace in page["rows"]], empty="No trace matches.")
    if page["rows"]:
        typer.echo(f"{len(page['rows'])} of {page['total']}")


@app.command()
def show(
    context: typer.Context,
    trace_id: Annotated[str, typer.Argument(help="As in the header x-ratchet-trace-id.")],
    as_json: AsJson = False,
) -> None:
    """Show one trace, span by span."""
    with control(context, drain=True) as api:
        trace = api.ask("GET", f"/api/traces/{quote(trace_id, safe='')}")
    if as_json:
        print_json(trace)
        return
    depths = _depths(trace["spans"])
    for span in trace["spans"]:
        indent = "  " * depths[span["span_id"]]
        print_record(
            {indent + span["name"]: f"{_milliseconds(span['duration'])}  {span['status']}  {span['span_id']}"}
        )
    for score in trace["scores"]:
        value = "" if score["value"] is None else f"{score['value']:g}"
        said = " ".join(word for word in (value, score["label"], score["comment"]) if word)
        typer.echo(plain(f"score {score['name']}: {said}  ({score['source']})"))


def _row(trace: dict[str, Any]) -> dict[str, str]:
    return {
        "trace": trace["trace_id"],
        "time (UTC)": when(trace["start"]),
        "name": trace["name"],
        "latency": _milliseconds(trace["duration"]),
        "cost": _cost(trace["cost"], trace["unpriced_calls"]),
        "status": trace["status"],
    }


def _cost(cost: str | None, unpriced: int) -> str:
    """Unknown is not nothing: a trace that asked no model has no cost, one whose price is not known an unknown one."""
    if cost is None:
        return "unknown" if unpriced else "-"
    return f"${float(cost):.6f}" + ("+" if unpriced else "")


def _milliseconds(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e6:,.0f} ms"


def _depths(spans: list[dict[str, Any]]) -> dict[str, int]:
    """How deep each span stands in the tree; a span whose parent is missing stands at the top."""
    parents = {span["span_id"]: span["parent_id"] for span in spans}
    depths: dict[str, int] = {}
    for span_id in parents:
        path: list[str] = []
        here = span_id
        while here in parents and here not in depths and here not in path:
            path.append(here)
            here = parents[here]
        depth = depths.get(here, -1)
        for step in reversed(path):
            depth += 1
            depths[step] = depth
    return depths
