"""What translating adds to a request, beside one that passes untouched: the same gateway, in turn."""

from __future__ import annotations

import json

from bench.figures import Figure, Part, at_most, percentile
from bench.gateways import Running, start_ratchet
from bench.latency import PATH, Line, quiet
from bench.nginx import MODEL, start_upstream
from bench.processes import Children
from bench.setting import Setting, chat_body

__all__ = ["measure"]

_BOUND = 0.3  # ms at p50
_ANTHROPIC, _GEMINI = "claude-haiku-4-5", "gemini-2.5-flash"
_MORE = """
[providers.claude]
kind = "anthropic"
base_url = "http://127.0.0.1:{upstream}"
api_key = "env:UP_KEY"

[providers.google]
kind = "gemini"
base_url = "http://127.0.0.1:{upstream}"
api_key = "env:UP_KEY"
"""


def measure(setting: Setting, children: Children) -> Part:
    upstream = start_upstream(children, core=setting.load_core)
    setting.say("starting ratchet …")
    running = start_ratchet(children, upstream, setting.gateway_core, more=_MORE.format(upstream=upstream))
    lines = _lines(running)
    took: dict[str, list[int]] = {name: [] for name in lines}
    blocks, count = (3, 250) if setting.quick else (8, 500)
    with quiet(setting.load_core):
        for block in range(blocks + 1):
            for _ in range(count):
                for name, line in lines.items():
                    nanoseconds = line.ask()
                    if block:  # the first one warms up: code paths, connections, processor clocks
                        took[name].append(nanoseconds)
            setting.say(f"block {block}/{blocks}" if block else "warmed up")
    for line in lines.values():
        line.close()
    return _part(took)


def _lines(running: Running) -> dict[str, Line]:
    """By "app → provider": one connection each."""

    def line(body: bytes, path: str = PATH) -> Line:
        return Line(running.port, running.headers, body, path)

    return {
        "openai → openai": line(chat_body(running.model)),
        "openai → anthropic": line(chat_body(f"claude/{_ANTHROPIC}")),
        "openai → gemini": line(chat_body(f"google/{_GEMINI}")),
        "anthropic → anthropic": line(_messages_body(f"claude/{_ANTHROPIC}"), "/v1/messages"),
        "anthropic → openai": line(_messages_body(f"up/{MODEL}"), "/v1/messages"),
    }


def _messages_body(model: str) -> bytes:
    """The same conversation as `chat_body`, as an Anthropic client would send it."""
    asked = json.loads(chat_body(model))
    system, *messages = asked["messages"]
    body = {**asked, "system": system["content"], "messages": messages}
    return json.dumps(body, separators=(",", ":")).encode()


def _part(took: dict[str, list[int]]) -> Part:
    figures: list[Figure] = []
    for name, samples in took.items():
        app, _, provider = name.partition(" → ")
        same = f"{app} → {app}"
        median = percentile(samples, 0.5) / 1e6
        note = (
            f"{median:.3f} ms in all, {percentile(samples, 0.99) / 1e6:.3f} at p99; {len(samples):,} samples"
        )
        if app == provider:
            figures.append(
                Figure(name=f"{name}, untouched: p50", value=median, unit="ms", digits=3, note=note)
            )
        else:
            more = median - percentile(took[same], 0.5) / 1e6
            title = f"{name}: more than {same}, p50"
            figures.append(at_most(title, more, _BOUND, "ms", digits=3, note=note))
    remarks = [
        "One request at a time over kept-open connections to one gateway, each kind in turn; the upstream answers at once."
    ]
    return Part(name="translation", title="What translating adds", figures=figures, remarks=remarks)
