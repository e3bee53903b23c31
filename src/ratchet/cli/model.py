"""`ratchet model`"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from ratchet.cli.context import plain, print_json, print_record, print_table
from ratchet.cli.loading import control, load
from ratchet.errors import InvalidRequest

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Models: facts for choosing one, recommendations, stars.",
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
# What `recommend` asks.
Commercial = Annotated[bool, typer.Option("--commercial", help="Its licence permits commercial use.")]
Context = Annotated[int | None, typer.Option("--context", min=1, help="Tokens of context, at least.")]
Output = Annotated[int | None, typer.Option("--output", min=1, help="Tokens of one answer, at least.")]
MaxInput = Annotated[str, typer.Option(help="US dollars for a million input tokens, at most.")]
MaxOutput = Annotated[str, typer.Option(help="US dollars for a million output tokens, at most.")]
Monthly = Annotated[str, typer.Option(help="US dollars a month, at most, with the traffic below.")]
Requests = Annotated[int | None, typer.Option(min=1, help="Calls a month.")]
Input = Annotated[int | None, typer.Option(min=1, help="Input tokens of a call.")]
Answer = Annotated[int | None, typer.Option(min=1, help="Output tokens of a call.")]
Cached = Annotated[str, typer.Option(help="Of the input, the share that is cached: 0 to 1.")]
Tuning = Annotated[str, typer.Option(help="any, api or weights.")]
DataStays = Annotated[bool, typer.Option("--data-stays", help="It can run here.")]
Modality = Annotated[
    list[str] | None, typer.Option(help="What it takes: image, audio, video; repeat for more.")
]
Tools = Annotated[bool, typer.Option("--tools", help="It calls tools.")]
Structured = Annotated[bool, typer.Option("--structured-output", help="It keeps to a JSON Schema.")]
Reasoning = Annotated[bool, typer.Option("--reasoning", help="It reasons before it answers.")]
Until = Annotated[str, typer.Option(help="It is not retired by this day: 2027-06-01.")]
Here = Annotated[bool, typer.Option("--here", help="A provider declared here serves it.")]
KnownOnly = Annotated[bool, typer.Option("--known-only", help="What is unknown counts against a model.")]
_BATCH = 1000  # lines of a leaderboard in one request
_PARTS = {"fits": "fit", "unknown": "may fit: check", "fails": "left out"}


@app.command("list")
def list_(
    context: typer.Context,
    q: Annotated[str, typer.Option("--query", help="Words in its name, provider or family.")] = "",
    provider: Annotated[str, typer.Option(help="Who makes it.")] = "",
    status: Annotated[str, typer.Option(help="current, deprecated or historical.")] = "",
    licence: Annotated[str, typer.Option(help="permissive, restricted, non_commercial or proprietary.")] = "",
    fine_tunable: Annotated[str, typer.Option(help="weights, api or no.")] = "",
    data: Annotated[str, typer.Option(help="Where data goes: anywhere or provider_api.")] = "",
    modality: Annotated[str, typer.Option(help="What it takes: image, audio or video.")] = "",
    tools: Annotated[bool, typer.Option("--tools", help="Stated to call tools.")] = False,
    structured_output: Annotated[
        bool, typer.Option("--structured-output", help="Stated to keep to a JSON Schema.")
    ] = False,
    reasoning: Annotated[bool, typer.Option("--reasoning", help="Stated to reason.")] = False,
    here: Annotated[
        bool, typer.Option("--here", help="Served by a provider declared here, or called.")
    ] = False,
    sort: Annotated[
        str,
        typer.Option(
            help="name, context, output, input_price, output_price, parameters, speed, latency, stars."
        ),
    ] = "",
    order: Annotated[str, typer.Option(help="asc or desc.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show the models of the catalogue; filters leave out what is unknown."""
    asked = {
        "q": q, "provider": provider, "status": status, "licence_class": licence, "fine_tunable": fine_tunable,
        "data_location": data, "modality": modality, "sort": sort, "order": order,
        "tools": _one(tools), "structured_output": _one(structured_output), "reasoning": _one(reasoning),
        "here": _one(here),
    }  # fmt: skip
    with control(context, drain=True) as api:
        found = api.ask("GET", "/api/models", query=asked)
    if as_json:
        print_json(found)
        return
    print_table([_line(known) for known in found], empty="No model is known to be all of that.")


@app.command()
def show(context: typer.Context, name: str, as_json: AsJson = False) -> None:
    """Show everything that is known of a model: facts with their sources, prices, speed here, stars, hints."""
    with control(context, drain=True) as api:
        found = api.ask("GET", _path(name))
    if as_json:
        print_json(found)
        return
    known = found["known"]
    model: dict[str, Any] = dict(known["model"])
    typer.echo(plain(model.pop("name")))
    print_table(
        [{"fact": fact, "value": _value(each), "source": _sources(each)} for fact, each in model.items()],
        empty="",
    )
    _part("Prices, US dollars for a million tokens" + ("" if known["prices_agree"] else ": sources differ"))
    print_table([_quoted(quote) for quote in known["quotes"]], empty="Price unknown.")
    _part("Measured here, last 30 days")
    print_table([_measured(each) for each in found["targets"]], empty="No call to it was answered here.")
    _part("Stars")
    print_table(
        [
            {"stars": "★" * star["stars"], "who": star["member"], "comment": star["comment"]}
            for star in found["stars"]
        ],
        empty="Nobody has said what they think of it.",
    )
    _part("Public leaderboards: hints")
    print_table(
        [
            {
                "benchmark": hint["benchmark"],
                "score": f"{hint['score']:g}",
                "source": f"{hint['source']}, {hint['date']}",
            }
            for hint in found["hints"]
        ],
        empty="None imported.",
    )


@app.command()
def recommend(
    context: typer.Context,
    commercial: Commercial = False,
    context_tokens: Context = None,
    output_tokens: Output = None,
    max_input_usd: MaxInput = "",
    max_output_usd: MaxOutput = "",
    monthly_usd: Monthly = "",
    requests: Requests = None,
    input_tokens: Input = None,
    answer_tokens: Answer = None,
    cached_share: Cached = "",
    fine_tunable: Tuning = "",
    data_stays: DataStays = False,
    modality: Modality = None,
    tools: Tools = False,
    structured_output: Structured = False,
    reasoning: Reasoning = False,
    until: Until = "",
    here: Here = False,
    known_only: KnownOnly = False,
    as_json: AsJson = False,
) -> None:
    """Show which models fit what is needed, and for every other one why not."""
    asked = {
        "commercial": _one(commercial), "data_stays": _one(data_stays), "tools": _one(tools),
        "structured_output": _one(structured_output), "reasoning": _one(reasoning), "here": _one(here),
        "known_only": _one(known_only), "context_tokens": context_tokens, "output_tokens": output_tokens,
        "max_input_usd": max_input_usd, "max_output_usd": max_output_usd, "monthly_usd": monthly_usd,
        "requests": requests, "input_tokens": input_tokens, "answer_tokens": answer_tokens,
        "cached_share": cached_share, "fine_tunable": fine_tunable, "modality": ",".join(modality or []),
        "until": until,
    }  # fmt: skip
    with control(context, drain=here) as api:
        found = api.ask("GET", "/api/models/recommend", query=asked)
    if as_json:
        print_json(found)
        return
    for verdict, words in _PARTS.items():
        judged = [each for each in found["judgements"] if each["verdict"] == verdict]
        typer.echo(f"{len(judged)} {words}")
        for each in judged:
            cost = each["monthly_usd"]
            typer.echo(
                f"  {plain(each['model'])}" + ("" if cost is None else f"  ${float(cost):,.2f} a month")
            )
            for finding in each["findings"]:
                if finding["verdict"] == verdict:
                    typer.echo(f"    {plain(finding['says'])}")
        typer.echo("")


@app.command()
def star(
    context: typer.Context,
    name: str,
    stars: Annotated[int, typer.Argument(min=0, max=5, help="1 to 5; 0 takes yours back.")],
    comment: Annotated[str, typer.Option(help="Why.")] = "",
    as_json: AsJson = False,
) -> None:
    """Say what you think of a model."""
    with control(context) as api:
        path = _path(name, "/stars")
        made = (
            api.ask("POST", path, body={"stars": stars, "comment": comment})
            if stars
            else api.ask("DELETE", path)
        )
    if as_json:
        print_json(made)
    elif stars:
        typer.echo(f"{plain(made['model'])}: {'★' * stars}")
    else:
        typer.echo(f"{plain(made['model'])}: your stars are taken back.")


@app.command("import-scores")
def import_scores(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV: model,benchmark,score,date,source.")],
    as_json: AsJson = False,
) -> None:
    """Import scores of public leaderboards, as hints; tells which names match no model of the catalogue."""
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{file} can't be read: {error}.", "Give a CSV file in UTF-8.") from error
    lines: list[Any] = load("catalog.leaderboards").read_lines(text)
    kept: list[Any] = []
    unmatched: dict[str, Any] = {}
    waiting = iter(lines)
    with control(context) as api:
        while batch := list(islice(waiting, _BATCH)):
            body = {"lines": [_as_body(line) for line in batch]}
            answer = api.ask("POST", "/api/models/scores", body=body)
            kept += answer["kept"]
            for each in answer["unmatched"]:
                before = unmatched.get(each["name"])
                unmatched[each["name"]] = {
                    **each,
                    "scores": each["scores"] + (before["scores"] if before else 0),
                }
    if as_json:
        print_json({"kept": kept, "unmatched": list(unmatched.values())})
        return
    print_record(
        {"lines": str(len(lines)), "kept": str(len(kept)), "names without a model": str(len(unmatched))}
    )
    print_table(
        [
            {"name": each["name"], "scores": str(each["scores"]), "perhaps": ", ".join(each["near"])}
            for each in unmatched.values()
        ],
        empty="Every name is in the catalogue.",
    )


def _path(name: str, verb: str = "") -> str:
    """Servers take an escaped slash for a step of the address, so it is escaped twice."""
    return f"/api/models/{quote(name.replace('%', '%25').replace('/', '%2F'), safe='')}{verb}"


def _one(wanted: bool) -> str:
    return "1" if wanted else ""


def _as_body(line: Any) -> dict[str, Any]:
    return {name: getattr(line, name) for name in line.__struct_fields__}


def _line(known: dict[str, Any]) -> dict[str, str]:
    model, speed, rating = known["model"], known["speed"], known["rating"]
    billed = [quote for quote in known["quotes"] if quote["billed"]] or known["quotes"]
    price = f"{_dollars(billed[0]['input'])} / {_dollars(billed[0]['output'])}" if billed else "?"
    return {
        "name": model["name"],
        "provider": _value(model["provider"]),
        "status": _value(model["status"]),
        "context": _value(model["context_tokens"]),
        "output": _value(model["max_output_tokens"]),
        "price in / out": price + ("" if known["prices_agree"] else " ≠"),
        "licence": _value(model["licence_class"]),
        "fine-tunable": _value(model["fine_tunable"]),
        "p50 here": f"{speed['latency_p50'] / 1e9:.2f} s" if speed and speed["latency_p50"] else "-",
        "stars": f"{rating['mean']:.1f}" if rating else "-",
    }


def _value(fact: dict[str, Any]) -> str:
    value = fact["value"]
    if value is None:
        return "?"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)  # pyright: ignore[reportUnknownArgumentType]


def _sources(fact: dict[str, Any]) -> str:
    """One that is dated, if any is; all of them are in --json."""
    sources: Sequence[Any] = sorted(fact["sources"], key=lambda each: each["date"] is None)
    if not sources:
        return ""
    return f"{sources[0]['date'] or 'undated'}  {sources[0]['source']}"


def _quoted(quote: dict[str, Any]) -> dict[str, str]:
    return {
        "source": quote["source"] + (f", {quote['date']}" if quote["date"] else ""),
        "input": _dollars(quote["input"]),
        "cached": _dollars(quote["cached"]),
        "output": _dollars(quote["output"]),
        "billed": "yes" if quote["billed"] else "",
        "note": quote["note"],
    }


def _measured(each: dict[str, Any]) -> dict[str, str]:
    speed = each["speed"]
    rate = speed["tokens_per_second"]
    return {
        "target": each["target"] + (" (simulated)" if each["simulated"] else ""),
        "calls": f"{speed['calls']:,}",
        "p50 / p95": f"{_seconds(speed['latency_p50'])} / {_seconds(speed['latency_p95'])}",
        "first token p50 / p95": f"{_seconds(speed['ttft_p50'])} / {_seconds(speed['ttft_p95'])}",
        "output tokens/s": "-" if rate is None else f"{rate:.1f}",
    }


def _dollars(amount: str | None) -> str:
    return "?" if amount is None else f"${amount}"


def _seconds(nanoseconds: int | None) -> str:
    return "-" if nanoseconds is None else f"{nanoseconds / 1e9:.2f} s"


def _part(title: str) -> None:
    typer.echo(f"\n{title}")
