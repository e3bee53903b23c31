"""From a `TraceFilter` to SQL conditions. Only names fixed here are ever part of a statement; values are parameters."""

from __future__ import annotations

# ruff: noqa: S608 - statements are put together from names fixed in this room; every value is a parameter
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ratchet.domain.spans import ATTEMPT, ATTEMPT_COST
from ratchet.errors import InvalidRequest
from ratchet.store.spans.clients import ClientPool
from ratchet.store.spans.rows import TraceFilter
from ratchet.store.spans.schema import TIME_MAX, TIME_MIN

__all__ = [
    "AN_ATTEMPT",
    "COUNTED",
    "EVERY_RUN",
    "LOST_COST",
    "MODEL",
    "SILENT",
    "UNPRICED",
    "UNSAID",
    "Conditions",
    "Counting",
    "conditions",
    "counting",
    "doubled",
    "of_a_call",
    "tables",
    "window",
]

MODEL = "if(response_model != '', response_model, request_model)"
# A target is written provider/model, and the provider there has the name that it is declared with. Several of them may
# be the same vendor's, which is what `provider` says; spans of apps have no target.
PROVIDER = "if(target != '', substringIndex(target, '/', 1), toString(provider))"
# A failed call may have cost something too; the gateway records exactly zero where it knows that nothing was owed.
UNPRICED = "cost IS NULL"
# A target that was asked by the gateway and did not give the answer: no call, but a part of one.
AN_ATTEMPT = f"source = 'gateway' AND operation = '{ATTEMPT}'"
# Another target was quicker, or nobody waited: that tells nothing of who was asked.
SILENT = "('hedge_lost', 'abandoned')"
LOST_COST = f"toDecimal128OrNull(attributes['{ATTEMPT_COST}'], 18)"  # what it cost, or NULL
# What a model call can leave unsaid, by the name of the filter that asks for it.
UNSAID = {
    "route": "route = ''",
    "provider": f"{PROVIDER} = ''",
    "key": "key_id = ''",
    "language": "language = ''",
    "cost": UNPRICED,
    "user": "user_id = ''",
    "organisation": "organisation_id = ''",
    "session": "session_id = ''",
}
# Whose a call is, its trace may say in another span: see `belonging`.
_OWNERS = {"user": "user_id", "organisation": "organisation_id", "session": "session_id"}
# An app's own span around a call that the gateway recorded as its child is the same call, and counts once.
COUNTED = "model_call AND (trace_id, span_id) NOT IN doubled"


def doubled(where: str) -> str:
    """The common tables that `COUNTED` reads: spans around a call which the gateway recorded as well."""
    return (
        "calls AS (SELECT trace_id, span_id FROM spans "
        f"WHERE {where} AND source != 'gateway' AND model_call), "
        "doubled AS (SELECT trace_id, parent_id FROM spans "
        f"WHERE {where} AND source = 'gateway' AND parent_id != '' AND (trace_id, parent_id) IN calls)"
    )


def tables(*common: str) -> str:
    """The beginning of a statement that reads common tables; empty ones are left out."""
    named = ", ".join(table for table in common if table)
    return f"WITH {named} " if named else ""


class Counting(msgspec.Struct, frozen=True):
    """How to count each model call once: the common tables that it takes, and a condition on spans."""

    common: str
    condition: str


def counting(pool: ClientPool, where: str, parameters: Mapping[str, Any]) -> Counting:
    """Most often no call is recorded twice. Finding that out is cheap; holding every span against none is not."""
    if pool.select(f"{tables(doubled(where))}SELECT count() FROM doubled", parameters)[0][0]:
        return Counting(doubled(where), COUNTED)
    return Counting("", "model_call")


EVERY_RUN = "all"  # runs' spans and production's alike
_EXACT = ("route", "prompt", "prompt_version", "key_id", "language")
_TRACE_ID = re.compile(r"[0-9a-f]{32}", re.IGNORECASE)
# Words as the index cuts them: a run of ASCII letters and digits, or one character of any other writing.
_TOKENS = re.compile(r"[0-9a-z_]+(?:['.][0-9a-z_]+)*|[^\x00-\x7f]")
LEAST_LETTERS = 2  # before a `*`
MOST_WORDS = 10_000  # that a beginning may stand for: the most frequent ones


class Conditions(msgspec.Struct, frozen=True):
    """`window` bounds the spans looked at. Each of `some` must hold for some span of a trace; `others` bound the
    traces' ids; each of `whole` is a condition on aggregates of a whole trace (`errors_`, `duration_`, `cost_`, and
    `user_id_`, `organisation_id_`, `session_id_`: the last name in order, "" where no span gives one)."""

    window: str
    some: list[str]
    others: list[str]
    whole: list[str]
    parameters: dict[str, Any]


def window(
    project_id: str, since: int | None, until: int | None, *, column: str = "start", run: str = ""
) -> tuple[str, dict[str, Any]]:
    """A condition for one project and the times from `since` up to, not including, `until`, and its parameters.

    `run` is the run that spans or scores belong to: "" for none, which is production; EVERY_RUN for whatever it is.
    """
    sql = "project_id = {project:String}"
    parameters: dict[str, Any] = {"project": project_id}
    if run != EVERY_RUN:
        sql += " AND run_id = {run:String}"
        parameters["run"] = run
    if since is not None:
        sql += f" AND {column} >= fromUnixTimestamp64Nano({{since:Int64}}, 'UTC')"
        parameters["since"] = min(max(since, TIME_MIN), TIME_MAX)
    if until is not None:
        sql += f" AND {column} < fromUnixTimestamp64Nano({{until:Int64}}, 'UTC')"
        parameters["until"] = min(max(until, TIME_MIN), TIME_MAX + 1)
    return sql, parameters


def conditions(project_id: str, wanted: TraceFilter) -> Conditions:
    """For lists of traces: what some span, or the whole of a trace, must be.

    A condition that mentions `COUNTED` needs the common tables of `doubled`. Raises InvalidRequest where `wanted`
    asks for something that no trace can be.
    """
    where, parameters = window(project_id, wanted.since, wanted.until, run=wanted.run)
    some = [f"{field} = {{{field}:String}}" for field in _given(wanted, _OWNERS.values(), parameters)]
    some += _plain(wanted, parameters)
    whole: list[str] = []
    if wanted.failure:
        some.append(_lost(wanted, parameters))
    elif wanted.target:
        some.append("target = {target:String}")
        parameters["target"] = wanted.target
    for name in _unsaid(wanted):
        if name in _OWNERS:
            some.append("model_call")
            whole.append(f"{_OWNERS[name]}_ = ''")
        else:
            some.append(f"({UNSAID[name]} AND {COUNTED})")
    match _status(wanted):
        case "error":
            some.append("status = 'error'")
        case "ok":
            whole.append("errors_ = 0")
        case _:
            pass
    others = _scored(wanted, parameters)
    whole += _between("cost_", wanted.cost_min, wanted.cost_max, "cost", "Decimal(38, 18)", parameters)
    whole += _between("duration_", wanted.latency_min, wanted.latency_max, "latency", "Int64", parameters)
    return Conditions(where, some, others, whole, parameters)


def of_a_call(wanted: TraceFilter) -> tuple[str, dict[str, Any]]:
    """For figures over calls: each condition must hold for the call itself; but a score, and a user, organisation or
    session that the call does not name, may be its trace's.

    A condition to append to another, and its parameters; times are left to the caller. Raises InvalidRequest as
    `conditions` does.
    """
    parameters: dict[str, Any] = {}
    found = _plain(wanted, parameters)
    named = "SELECT trace_id FROM spans WHERE project_id = {project:String} AND"
    for field in _given(wanted, _OWNERS.values(), parameters):
        own = f"{field} = {{{field}:String}}"
        found.append(f"({own} OR {field} = '' AND trace_id IN ({named} {own}))")
    if wanted.failure:
        found.append(f"trace_id IN ({named} {_lost(wanted, parameters)})")
    elif wanted.target:
        found.append("target = {target:String}")
        parameters["target"] = wanted.target
    for name in _unsaid(wanted):
        found.append(UNSAID[name])
        if field := _OWNERS.get(name):
            found.append(f"trace_id NOT IN ({named} {field} != '')")
    if status := _status(wanted):
        found.append(f"status {'=' if status == 'error' else '!='} 'error'")
    found += _scored(wanted, parameters)
    found += _between("cost", wanted.cost_min, wanted.cost_max, "cost", "Decimal(38, 18)", parameters)
    found += _between("duration", wanted.latency_min, wanted.latency_max, "latency", "Int64", parameters)
    return "".join(f" AND {condition}" for condition in found), parameters


def _plain(wanted: TraceFilter, parameters: dict[str, Any]) -> list[str]:
    """The conditions that read the same for a span and for a call."""
    found = [f"{field} = {{{field}:String}}" for field in _given(wanted, _EXACT, parameters)]
    if wanted.provider:
        found.append(f"{PROVIDER} = {{provider:String}}")
        parameters["provider"] = wanted.provider
    if wanted.model:
        found.append("(request_model = {model:String} OR response_model = {model:String})")
        parameters["model"] = wanted.model
    if wanted.tag:
        found.append("has(tags, {tag:String})")
        parameters["tag"] = wanted.tag
    if wanted.query.strip():
        found.append(_text(wanted.query.strip(), parameters))
    return found


def _lost(wanted: TraceFilter, parameters: dict[str, Any]) -> str:
    """An attempt of that class of failure, at that target where one is named."""
    found = AN_ATTEMPT
    if wanted.failure == "any":
        found += f" AND error_type NOT IN {SILENT}"
    else:
        found += " AND error_type = {failure:String}"
        parameters["failure"] = wanted.failure
    if wanted.target:
        found += " AND target = {target:String}"
        parameters["target"] = wanted.target
    return f"({found})"


def _given(wanted: TraceFilter, fields: Iterable[str], parameters: dict[str, Any]) -> list[str]:
    """Those of `fields` that are asked for, with their values among the parameters."""
    given = [field for field in fields if getattr(wanted, field)]
    parameters.update({field: getattr(wanted, field) for field in given})
    return given


def _unsaid(wanted: TraceFilter) -> tuple[str, ...]:
    for name in wanted.without:
        if name not in UNSAID:
            raise InvalidRequest(
                f"There is no {name!r} that a call could leave unsaid.",
                f"Use some of {', '.join(UNSAID)}.",
                param="without",
            )
    return wanted.without


def _status(wanted: TraceFilter) -> str:
    if wanted.status not in ("", "ok", "error"):
        raise InvalidRequest(
            f"There is no status {wanted.status!r} to filter traces by.", "Use ok or error.", param="status"
        )
    return wanted.status


def _text(query: str, parameters: dict[str, Any]) -> str:
    if _TRACE_ID.fullmatch(query):
        parameters["trace_id"] = query.lower()
        return "trace_id = {trace_id:String}"
    whole, begun = _words(query)
    found: list[str] = []
    if whole:
        found.append("hasAllTokens(search_text, lowerUTF8({words:String}))")
        parameters["words"] = " ".join(whole)
    for place, stem in enumerate(begun):
        # The index has a list of all words: those that begin like this are looked up in it, not in the texts.
        found.append(
            "hasAnyTokens(search_text, (SELECT groupArray(token) FROM (SELECT token FROM "
            "mergeTreeTextIndex(currentDatabase(), 'spans', 'by_word') "
            f"WHERE startsWith(token, {{begun_{place}:String}}) GROUP BY token "
            f"ORDER BY sum(cardinality) DESC LIMIT {MOST_WORDS})))"
        )
        parameters[f"begun_{place}"] = stem
    return f"({' AND '.join(found)})"


def _words(query: str) -> tuple[list[str], list[str]]:
    """Words that are meant whole, and the beginnings of those written with a `*` at their end."""
    whole: list[str] = []
    begun: list[str] = []
    for word in query.split():
        stem = word.rstrip("*").lower()
        if stem == word.lower():
            whole.append(word)
            continue
        *before, last = _TOKENS.findall(stem) or [""]
        whole += before
        if last and not last.isascii():  # such a character is a word of its own, and has no beginning
            whole.append(last)
        elif len(last) >= LEAST_LETTERS:
            begun.append(last)
        else:
            raise InvalidRequest(
                f"{word!r} stands for too many words.",
                f"Write at least {LEAST_LETTERS} letters or digits before the *.",
                param="q",
            )
    return whole, begun


def _between(
    column: str, low: object, high: object, name: str, kind: str, parameters: dict[str, Any]
) -> list[str]:
    found: list[str] = []
    for bound, value, sign in (("min", low, ">="), ("max", high, "<=")):
        if value is not None:
            found.append(f"{column} {sign} {{{name}_{bound}:{kind}}}")
            parameters[f"{name}_{bound}"] = value
    return found


def _scored(wanted: TraceFilter, parameters: dict[str, Any]) -> list[str]:
    found = _between("value", wanted.score_min, wanted.score_max, "score", "Float64", parameters)
    if wanted.score_name:
        found.append("name = {score_name:String}")
        parameters["score_name"] = wanted.score_name
    if not found:
        return []
    scored = f"SELECT trace_id FROM scores WHERE project_id = {{project:String}} AND {' AND '.join(found)}"
    return [f"trace_id IN ({scored})"]
