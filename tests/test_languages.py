"""The language of what users write, found while the spool is drained."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.conftest import RunningGateway, running_gateway

from ratchet.domain.spans import Event, Score, Span
from ratchet.telemetry.collector import Collector
from ratchet.telemetry.languages import language_of

TEXTS: dict[str, Any] = json.loads((Path(__file__).parent / "texts" / "languages.json").read_text())
LANGUAGES = [name for name in TEXTS if len(name) == 2]


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_sentence_is_enough(name: str) -> None:
    assert language_of(TEXTS[name]["text"][:80]) == name


@pytest.mark.parametrize(
    "text", ["", "ok", "Hi", "12345", "John Smith", '{"a": 1}', "SELECT * FROM x", "🎉🎉"]
)
def test_what_can_not_be_told_is_not_told(text: str) -> None:
    assert not language_of(text)


class Store:
    def __init__(self) -> None:
        self.spans: list[Span] = []

    def insert_spans(self, spans: Sequence[Span], *, token: str) -> None:
        self.spans += spans

    def insert_scores(self, scores: Sequence[Score], *, token: str) -> None: ...

    def insert_events(self, events: Sequence[Event], *, token: str) -> None: ...


def collected(gateway: RunningGateway, **options: Any) -> list[Span]:
    store = Store()
    spool, place = gateway.folder / "spool", gateway.folder / "collector.json"
    collector = Collector(spool, place, insert=store, price=lambda *_: None, now=time.time_ns, **options)
    while collector.drain_once():
        pass
    return sorted(store.spans, key=lambda span: span.start)


async def ask(gateway: RunningGateway, text: str, **more: Any) -> None:
    body = {"model": "support", "messages": [{"role": "user", "content": text}], **more}
    headers = {"authorization": f"Bearer {gateway.key}"}
    async with httpx2.AsyncClient(base_url=gateway.url, headers=headers, timeout=20) as client:
        assert (await client.post("/v1/chat/completions", json=body)).status_code == 200


async def test_calls_get_their_language_where_the_app_does_not_say(gateway: RunningGateway) -> None:
    await ask(gateway, TEXTS["de"]["text"])
    await ask(gateway, TEXTS["ru"]["text"])
    await ask(gateway, TEXTS["de"]["text"], metadata={"language": "de-AT"})
    await ask(gateway, "ok")
    assert [span.language for span in collected(gateway, language_of=language_of)] == [
        "de",
        "ru",
        "de-AT",
        "",
    ]


async def test_what_is_not_kept_has_no_language(tmp_path: Path, simulator: tuple[str, Any]) -> None:
    settings = f"""
[gateway]
keep_content = false
[providers.sim]
kind = "simulator"
base_url = "{simulator[0]}"
[routes.support]
targets = ["sim/gpt-4o"]
"""
    asked: list[str] = []

    def remember(text: str) -> str:
        asked.append(text)
        return "xx"

    async with running_gateway(tmp_path, settings) as gateway:
        await ask(gateway, TEXTS["de"]["text"])
        assert [span.language for span in collected(gateway, language_of=remember)] == [""]
    assert not asked
