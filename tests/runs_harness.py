"""For tests of runs: an upstream that counts, suites on disk, runs in this process."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ratchet.app.paths import DataDir
from ratchet.app.planning import Order
from ratchet.app.runs import resume_run, start_run
from ratchet.domain.cases import Case
from ratchet.domain.runs import Progress, Result, Run
from ratchet.evals.suite import suite_of
from ratchet.evals.switch import Switch
from ratchet.scorers.scorer import ScorerAbout


class Upstream:
    """Speaks OpenAI's chat completions: answers the last message in capitals, after `delay` seconds, and counts."""

    def __init__(self, *, delay: float = 0.0) -> None:
        self.asked: Counter[str] = Counter()
        self.models: Counter[str] = Counter()
        self.headers: list[dict[bytes, bytes]] = []
        self.seeds: Counter[int | None] = Counter()
        self.under_way = 0
        self.delay = delay
        self.refuse: set[str] = set()
        self.hold: set[str] = set()  # never answered
        self.wrong: dict[str, set[str]] = {}  # by model: what it does not know

    @property
    def total(self) -> int:
        return self.asked.total()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        asked = json.loads(body)
        text = str(asked["messages"][-1]["content"]) if "messages" in asked else str(asked["input"])
        self.asked[text] += 1
        self.models[asked.get("model", "")] += 1
        self.headers.append(dict(scope["headers"]))
        self.seeds[asked.get("seed")] += 1
        self.under_way += 1
        try:
            if text in self.hold:
                await asyncio.get_running_loop().create_future()
            if self.delay:
                await asyncio.sleep(self.delay)
            if text in self.wrong.get(asked.get("model", ""), ()):
                text = "beg your pardon"
            status, said = (
                (500, {"error": {"message": "no"}})
                if text in self.refuse
                else (200, self._answer(asked, text))
            )
        finally:
            self.under_way -= 1
        content = json.dumps(said).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    @staticmethod
    def _answer(asked: Any, text: str) -> Any:
        if "messages" not in asked:
            return {"output": text.upper(), "cost": 0.5, "usage": {"input_tokens": 3, "output_tokens": 4}}
        message = {"role": "assistant", "content": text.upper()}
        return {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "content": [{"type": "text", "text": text.upper()}],  # where Anthropic's dialect looks
            "stop_reason": "end_turn",
            "model": asked["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        }


class Heard:
    """A watcher that remembers, and may stop the run after some answers."""

    def __init__(self, switch: Switch | None = None, *, after: int = 0) -> None:
        self.results: list[Result] = []
        self._switch = switch
        self._after = after

    def planned(self, cases: Sequence[Case], repeats: int, scorers: Sequence[ScorerAbout]) -> None:
        self.order = [case.id for case in cases]

    def began(self, run: Run, done: Sequence[Result]) -> None:
        self.run_id = run.id

    def told(self, result: Result, progress: Progress) -> None:
        self.results.append(result)
        if self._switch is not None and len(self.results) >= self._after:
            self._switch.stop("cancelled", "enough")


class Bench:
    """A folder with settings, cases and a data directory."""

    def __init__(self, folder: Path, upstream: str) -> None:
        self.folder = folder
        self.data = DataDir.at(folder / "data")
        self.config = folder / "ratchet.toml"
        self.config.write_text(
            f'[providers.up]\nkind = "openai"\nbase_url = "{upstream}/v1"\n'
            '[routes.cheap]\ntargets = ["up/small"]\n'
            '[prices."up/small"]\ninput = 1\noutput = 2\n[prices."up/large"]\ninput = 100\noutput = 200\n'
        )

    def write_cases(self, count: int, **fields: Any) -> None:
        cases = [
            {"id": f"c{at}", "input": f"say {at}", "reference": f"SAY {at}", **fields} for at in range(count)
        ]
        (self.folder / "cases.jsonl").write_text("\n".join(json.dumps(each) for each in cases))

    def order(self, candidates: Sequence[Any], *, cache: bool = True, **keys: Any) -> Order:
        settings = {
            "name": "t",
            "dataset": "cases.jsonl",
            "scorers": ["exact"],
            **keys,
            "candidates": list(candidates),
        }
        return Order(suite_of(settings), self.folder, cache=cache)

    async def start(
        self, candidates: Sequence[Any], *, cache: bool = True, stop_after: int = 0, **keys: Any
    ) -> tuple[Run, list[Result]]:
        switch = Switch()
        heard = Heard(switch if stop_after else None, after=stop_after)
        order = self.order(candidates, cache=cache, **keys)
        done = await start_run(self.config, self.data, order, watcher=heard, switch=switch)
        return done.run, done.results

    async def resume(self, run: str = "latest") -> tuple[Run, list[Result]]:
        done = await resume_run(self.config, self.data, run, watcher=Heard(), switch=Switch())
        return done.run, done.results
