"""Texts as vectors: the local model offline and late, remote ones over a real socket."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wordllama
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import running_app
from tests.runs_harness import Bench, Upstream

from ratchet.embeddings import DIMENSIONS, LocalEmbedder, RemoteEmbedder
from ratchet.errors import Misconfigured, UpstreamFailed, UpstreamRefused, UpstreamTimeout
from ratchet.simulator.app import Simulator

LOCAL = LocalEmbedder()


def test_nothing_is_loaded_before_the_first_text() -> None:
    script = (
        "import sys; from ratchet.embeddings import LocalEmbedder; e = LocalEmbedder();"
        "before = 'wordllama' in sys.modules; e.vectors(['a text']);"
        "print(before, 'wordllama' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_vectors_are_the_models_own() -> None:
    texts = ["How do I send a tent back?", "Ünïcode ✓", "a", "one two three " * 200]
    folder = Path(wordllama.__file__).parent
    model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
    assert np.allclose(LOCAL.vectors(texts), model.embed(texts, norm=True), atol=1e-6)


def test_texts_of_one_meaning_are_nearer_than_others() -> None:
    ask, same, other = LOCAL.vectors(["how do I return it", "sending an item back", "the tent is green"])
    assert ask @ same > ask @ other + 0.2


def test_what_has_no_tokens_is_zeros_and_no_text_is_no_row() -> None:
    assert LOCAL.vectors([""]).tolist() == [[0.0] * DIMENSIONS]
    assert LOCAL.vectors([]).shape == (0, DIMENSIONS)
    assert LOCAL.tokens([""]) == [[]]
    assert LOCAL.token_vectors([]).shape == (0, DIMENSIONS)


PIECES = st.sampled_from(
    [
        "tent",
        "a",
        ".",
        " ",
        "  ",
        "\n",
        "▁",
        "<s>",
        "</s>",
        "<unk>",
        "é",
        "漢",
        "😀",
        "\ud800",
        "\u00a0",
        "x" * 120,
    ]
)


@given(st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=20))
@settings(max_examples=300, deadline=None)
def test_the_tokens_of_words_are_those_of_the_text(text: str) -> None:
    whole = LOCAL._loaded()._tokenizer.encode(
        text.encode(errors="replace").decode(), add_special_tokens=False
    )
    assert LOCAL.tokens([text]) == [whole.ids]


def test_no_token_goes_on_after_a_space() -> None:
    vocabulary = LOCAL._loaded()._tokenizer.get_vocab()
    assert len(vocabulary) == 32_000
    assert [token for token in vocabulary if "▁" in token[1:] and token.strip("▁")] == []


def test_tokens_have_unit_vectors() -> None:
    (tokens,) = LOCAL.tokens(["a green tent"])
    assert len(tokens) == 3
    assert np.allclose(np.linalg.norm(LOCAL.token_vectors(tokens), axis=1), 1, atol=1e-6)


@given(st.lists(st.text(), max_size=8))
@settings(max_examples=50, deadline=None)
def test_any_text_has_a_unit_vector_that_does_not_depend_on_its_company(texts: list[str]) -> None:
    together = LocalEmbedder(kept=3).vectors(texts)
    assert together.dtype == np.float32
    assert together.shape == (len(texts), DIMENSIONS)
    for text, row in zip(texts, together, strict=True):
        assert np.linalg.norm(row) == pytest.approx(1 if LOCAL.tokens([text])[0] else 0, abs=1e-5)
        assert np.array_equal(row, LOCAL.vectors([text])[0])


def test_lone_surrogates_are_embedded_too() -> None:
    assert LOCAL.vectors(["tent \ud800"]).shape == (1, DIMENSIONS)


async def test_a_remote_model_is_asked_in_batches_and_once_for_each_text(
    simulator: tuple[str, Simulator],
) -> None:
    address, _ = simulator
    remote = RemoteEmbedder(address, "text-embedding-3-small", batch=3)
    texts = [f"text {number % 7}" for number in range(20)]
    vectors = await remote.embed(texts)
    assert vectors.shape[0] == 20
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.array_equal(vectors[0], vectors[7])
    assert not np.array_equal(vectors[0], vectors[1])
    single = await RemoteEmbedder(address, "text-embedding-3-small").embed(texts[:1])
    assert np.allclose(single[0], vectors[0])
    assert (await remote.embed([])).shape[0] == 0


class Canned:
    """Answers every request alike, after it has failed with each of `before`, and counts them."""

    def __init__(
        self, status: int, body: Any, *, before: Sequence[int] = (), headers: Sequence[Any] = ()
    ) -> None:
        self.status, self.body, self.asked = status, json.dumps(body).encode(), [0]
        self.before, self.headers = list(before), list(headers)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        while (await receive()).get("more_body"):
            pass
        self.asked[0] += 1
        status = self.before.pop(0) if self.before else self.status
        await send({"type": "http.response.start", "status": status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body})


async def test_a_text_that_was_embedded_is_not_asked_for_again() -> None:
    app = Canned(200, {"data": [{"index": 0, "embedding": [3.0, 4.0]}]})
    async with running_app(app) as address:
        remote = RemoteEmbedder(address, "m")
        first, again = await remote.embed(["a"]), await remote.embed(["a", "a"])
    assert first.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)]]
    assert again.shape == (2, 2)
    assert app.asked == [1]


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (200, {"data": []}, UpstreamFailed, "0 vectors for 1 texts"),
        (200, {"data": [{"index": 1, "embedding": [1.0]}]}, UpstreamFailed, "vectors for"),
        (200, {"data": [{"index": 0, "embedding": []}]}, UpstreamFailed, "lengths"),
        (200, {"data": [{"index": 0, "embedding": ["x"]}]}, UpstreamFailed, "float"),
        (200, [], UpstreamFailed, "object"),
        (200, {"data": [{"index": 0, "embedding": [1e300]}]}, UpstreamFailed, "no embedding has"),
        (401, {"error": "no such key"}, UpstreamRefused, "401"),
        (404, {"error": "no such model"}, UpstreamRefused, "no such model"),
    ],
)
async def test_what_a_remote_answers_wrongly_is_named(
    status: int, body: Any, kind: type[Exception], said: str
) -> None:
    async with running_app(Canned(status, body)) as address:
        with pytest.raises(kind, match=said):
            await RemoteEmbedder(address, "m").embed(["a"])


async def test_a_remote_that_is_not_there_or_slow_is_named(simulator: tuple[str, Simulator]) -> None:
    with pytest.raises(UpstreamFailed, match="can't be reached"):
        await RemoteEmbedder("http://127.0.0.1:9/v1", "m").embed(["a"])
    with pytest.raises(UpstreamTimeout, match="within 0 s"):
        await RemoteEmbedder(simulator[0], "text-embedding-3-small", timeout=0).embed(["a"])


ONE = {"data": [{"index": 0, "embedding": [3.0, 4.0]}]}


class Clock:
    """Time that passes where somebody sleeps."""

    def __init__(self) -> None:
        self.now, self.slept = 0.0, []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.mark.parametrize("before", [[429], [503, 500], [429, 502, 529]])
async def test_what_a_remote_turns_away_for_now_is_asked_again(before: list[int]) -> None:
    clock, app = Clock(), Canned(200, ONE, before=before)
    async with running_app(app) as address:
        remote = RemoteEmbedder(address, "m", clock=clock, sleep=clock.sleep, chance=lambda: 0.5)
        assert (await remote.embed(["a"])).shape == (1, 2)
    assert app.asked == [len(before) + 1]
    assert clock.slept == [0.5, 1.0, 2.0][: len(before)]


async def test_a_remote_says_when_to_ask_again() -> None:
    clock, app = Clock(), Canned(200, ONE, before=[429], headers=[(b"retry-after", b"7")])
    async with running_app(app) as address:
        await RemoteEmbedder(address, "m", clock=clock, sleep=clock.sleep).embed(["a"])
    assert clock.slept == [7.0]


async def test_a_deadline_ends_asking_again() -> None:
    clock, app = Clock(), Canned(503, {"error": "busy"})
    async with running_app(app) as address:
        remote = RemoteEmbedder(address, "m", deadline=10, clock=clock, sleep=clock.sleep, chance=lambda: 0.5)
        with pytest.raises(UpstreamRefused, match="503"):
            await remote.embed(["a"])
    assert clock.now < 10
    assert app.asked == [5]


# -- what a run embeds with ----------------------------------------------------------------------------------------


async def test_a_run_embeds_where_the_settings_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream, app = (
        Upstream(),
        Canned(200, {"data": [{"index": n, "embedding": [n + 1.0, 1.0]} for n in (0, 1)]}),
    )
    async with running_app(upstream) as models, running_app(app) as address:
        bench = Bench(tmp_path, models)
        cases = [{"id": f"c{n}", "input": f"say {n}", "reference": f"it said {n}"} for n in range(3)]
        (tmp_path / "cases.jsonl").write_text("\n".join(map(json.dumps, cases)))
        bench.config.write_text(
            bench.config.read_text()
            + f'[embeddings]\nbase_url = "{address}/v1"\nmodel = "m"\napi_key = "env:EMBEDDING_KEY"\n'
        )
        scorers = ["embedding_similarity", "token_matching"]
        with pytest.raises(Misconfigured, match="EMBEDDING_KEY"):
            await bench.start(["route:cheap"], scorers=scorers)
        assert upstream.total == app.asked[0] == 0
        await bench.start(["route:cheap"], scorers=["token_matching"])
        monkeypatch.setenv("EMBEDDING_KEY", "k")
        _, results = await bench.start(["route:cheap"], scorers=scorers, cache=False)
        assert app.asked == [3]
        app.status = 401
        _, unscored = await bench.start(["route:cheap"], scorers=scorers, cache=False)
    values = {verdict.name: verdict.value for verdict in results[0].verdicts}
    assert values["embedding_similarity"] == pytest.approx(0.9487, abs=1e-3)  # of (1, 1) and (2, 1)
    assert 0 < values["token_matching"] < 1
    comments = {verdict.name: verdict.comment for verdict in unscored[0].verdicts}
    assert "401" in comments["embedding_similarity"]
