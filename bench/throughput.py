"""Requests per second of each gateway on one core, over the same upstream, in interleaved rounds."""

from __future__ import annotations

import http.client
import statistics

import msgspec

from bench.figures import Figure, Part, at_least
from bench.gateways import STARTERS, Running, start_gateway
from bench.machine import core_ticks
from bench.nginx import ANSWER, start_upstream
from bench.processes import BenchError, Children
from bench.setting import Setting, chat_body
from bench.wrk import Round, load

__all__ = ["check_answers", "measure"]

_PATH = "/v1/chat/completions"


class _Sample(msgspec.Struct, frozen=True):
    round: Round
    gateway_share: float  # of its core, by the gateway's processes
    load_share: float  # of the other core, by everything on it
    stolen: float  # of both cores, by the machine underneath


def measure(setting: Setting, children: Children) -> tuple[Part, Running, int]:
    """The part, ratchet's gateway still running, and how many requests it answered (what its spool must hold)."""
    upstream = start_upstream(children, core=setting.load_core)
    names = list(STARTERS) if setting.rivals else ["ratchet", "nginx"]
    gateways: list[Running] = []
    for name in names:
        setting.say(f"starting {name} …")
        running = start_gateway(name, children, upstream, setting.gateway_core)
        check_answers(running)
        setting.say(f"{running.version} answers")
        running.child.pause()
        gateways.append(running)
    seconds, rounds = (2, 2) if setting.quick else (5, 5)
    samples: dict[str, list[_Sample]] = {running.name: [] for running in gateways}
    answered = 1  # the check
    for turn in range(rounds):
        for running in gateways:
            running.child.resume()
            # What compiles itself while it runs (Node) gets a longer start before it counts.
            warm = _load(setting, running, 1 if turn else 4)
            sample = _sample(setting, running, seconds)
            running.child.pause()
            if running.name == "ratchet":
                answered += warm.requests + sample.round.requests
            samples[running.name].append(sample)
            setting.say(f"round {turn + 1}/{rounds}  {running.name:<8} {_line(sample)}")
    for running in gateways:
        running.child.resume()
    return _part(gateways, samples), gateways[0], answered


def check_answers(running: Running) -> None:
    """One whole request through it gives the upstream's very answer. Raises BenchError otherwise."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
    try:
        connection.request(
            "POST", _PATH, chat_body(running.model), running.headers | {"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    said = msgspec.json.decode(body)["choices"][0]["message"]["content"] if answer.status == 200 else None
    if said != msgspec.json.decode(ANSWER)["choices"][0]["message"]["content"]:
        raise BenchError(
            f"{running.name} answered {answer.status}, not the upstream's words: {body[:500]!r}\n{running.child.tail()}"
        )


def _load(setting: Setting, running: Running, seconds: float) -> Round:
    return load(
        setting.room("wrk"),
        port=running.port,
        path=_PATH,
        headers=running.headers | {"Content-Type": "application/json"},
        bodies=[chat_body(running.model)],
        core=setting.load_core,
        seconds=seconds,
    )


def _sample(setting: Setting, running: Running, seconds: float) -> _Sample:
    cores = (setting.gateway_core, setting.load_core)
    before, used = [core_ticks(core) for core in cores], running.child.cpu_seconds()
    done = _load(setting, running, seconds)
    after, used = [core_ticks(core) for core in cores], running.child.cpu_seconds() - used
    all_ticks = [late[2] - early[2] for early, late in zip(before, after, strict=True)]
    stolen = sum(late[1] - early[1] for early, late in zip(before, after, strict=True))
    return _Sample(
        round=done,
        gateway_share=used / (done.micros / 1e6),
        load_share=(after[1][0] - before[1][0]) / max(1, all_ticks[1]),
        stolen=stolen / max(1, sum(all_ticks)),
    )


def _line(sample: _Sample) -> str:
    done = sample.round
    return (
        f"{done.rate:>9,.0f} requests/s   p50 {done.p50 / 1000:.2f} ms   gateway on {sample.gateway_share:.0%} of its core, "
        f"the other core {sample.load_share:.0%} busy, {sample.stolen:.1%} stolen"
        + (f"   {done.errors} ERRORS, round void" if done.errors else "")
    )


def _part(gateways: list[Running], samples: dict[str, list[_Sample]]) -> Part:
    rates: dict[str, float | None] = {}
    figures: list[Figure] = []
    for running in gateways:
        clean = [sample for sample in samples[running.name] if not sample.round.errors]
        void = len(samples[running.name]) - len(clean)
        rate = statistics.median(sample.round.rate for sample in clean) if clean else None
        rates[running.name] = rate
        note = f"{len(clean)} rounds" + (f", {void} VOID" if void else "")
        if clean:
            lowest, highest = min(s.round.rate for s in clean), max(s.round.rate for s in clean)
            share = statistics.median(sample.gateway_share for sample in clean)
            other = statistics.median(sample.load_share for sample in clean)
            note += f", {lowest:,.0f} to {highest:,.0f}; its core {share:.0%}, the load's core {other:.0%}"
            note += f"; {share / (rate or 1) * 1e6:,.0f} µs of its core a request"
        title = f"{running.name} on one core"
        if running.name == "ratchet":
            figures.append(at_least(title, rate, 8000, "requests/s", note=note))
        else:
            figures.append(Figure(name=title, value=rate, unit="requests/s", note=note))
        if void:
            figures.append(
                Figure(name=f"{running.name}: rounds with errors", value=void, most=0, unit="rounds")
            )
    own = rates.get("ratchet")
    for rival, bound in (("Portkey", 8.0), ("LiteLLM", 100.0), ("nginx", None)):
        if rival in rates:
            other, ratio = rates[rival], None
            if own and other:
                ratio = own / other
            figures.append(
                Figure(name=f"ratchet over {rival}", value=ratio, unit="times", digits=2, least=bound)
            )
    remarks = [f"{running.name}: {running.version}" for running in gateways]
    remarks.append(
        "64 kept-open connections, medians of interleaved rounds; a gateway is paused while another is measured."
    )
    return Part(name="gateway", title="Throughput on one core", figures=figures, remarks=remarks)
