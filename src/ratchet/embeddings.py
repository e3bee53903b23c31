"""Texts as vectors: by the local WordLlama, whose weights are in its package, or by any `/v1/embeddings`.

Every vector has length 1, so that a dot product is a cosine; a text in which nothing can be embedded is all zeros.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import random
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from operator import attrgetter
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import RequestError

from ratchet.errors import Bug, UpstreamFailed, UpstreamRefused, UpstreamTimeout, reason_of

__all__ = ["DIMENSIONS", "LocalEmbedder", "RemoteEmbedder", "Vectors"]

Vectors: TypeAlias = NDArray[np.float32]
T = TypeVar("T")

DIMENSIONS = 256  # the local model's
_LARGEST = 1e15  # so that squares can be summed in 32 bits
_FIRST_PAUSE = 0.5  # seconds
_KEPT = 50_000  # vectors; 50 MB of the local model's


class _Cache(Generic[T]):
    """What was made of a text, by the text's hash; the oldest is dropped first. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[bytes, T] = {}
        self._lock = threading.Lock()

    def look(self, texts: Sequence[str]) -> tuple[dict[str, T], list[str]]:
        """What is held of `texts`, and the others, each once."""
        found: dict[str, T] = {}
        others: dict[str, None] = {}
        with self._lock:
            for text in texts:
                made = self._held.get(_key(text))
                if made is None:
                    others[text] = None
                else:
                    found[text] = made
        return found, list(others)

    def keep(self, made: Mapping[str, T]) -> None:
        with self._lock:
            for text, value in made.items():
                self._held[_key(text)] = value
            while len(self._held) > self._most:
                self._held.pop(next(iter(self._held)))


def _key(text: str) -> bytes:
    return blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()


def _rows(texts: Sequence[str], vectors: Vectors) -> dict[str, Vectors]:
    """Each text's row, copied: a view would hold on to the whole array."""
    return {text: vector.copy() for text, vector in zip(texts, vectors, strict=True)}


class LocalEmbedder:
    """WordLlama (Miller 2024): the mean of static token vectors, 256 numbers, about 0.05 ms a text of 50 words.

    It knows words and no grammar. Nothing is loaded before the first text; thread-safe.
    """

    def __init__(self, *, kept: int = _KEPT) -> None:
        self._vectors = _Cache[Vectors](kept)
        self._lock = threading.Lock()
        self._model: _WordLlama | None = None

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """As `vectors`. It computes at once: a text takes less time than handing it to a thread would."""
        return self.vectors(texts)

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, shape (texts, 256)."""
        found, new = self._vectors.look(texts)
        if new:
            made = _rows(new, self._embedded(new))
            self._vectors.keep(made)
            found |= made
        if not texts:
            return np.zeros((0, DIMENSIONS), np.float32)
        return np.stack([found[text] for text in texts])

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The numbers of each text's tokens, in the model's vocabulary."""
        model = self._loaded()
        return [model.tokens(text) for text in texts]

    def token_vectors(self, tokens: Sequence[int]) -> Vectors:
        """Unit vectors of tokens by their numbers, shape (tokens, 256)."""
        return _unit(self._loaded().table[np.asarray(tokens, np.int64)])

    def _embedded(self, texts: Sequence[str]) -> Vectors:
        model = self._loaded()
        made = np.zeros((len(texts), DIMENSIONS), np.float32)
        for row, text in enumerate(texts):
            if tokens := model.tokens(text):
                made[row] = model.table[np.asarray(tokens, np.int64)].mean(axis=0)
        return _unit(made)

    def _loaded(self) -> _WordLlama:
        with self._lock:
            if self._model is None:
                self._model = _load_wordllama()
            return self._model


class _WordLlama:
    """The model's tokenizer and its table of token vectors, shape (tokens, 256)."""

    def __init__(self, tokenizer: Any, table: Vectors) -> None:
        self._tokenizer = tokenizer
        self._word = lru_cache(_WORDS)(self._encoded)
        self.table = table

    def tokens(self, text: str) -> list[int]:
        """The text's tokens. No token of the vocabulary goes on after a space, so a text is its words, and words are
        few enough to be remembered: that is ten times as quick. What words don't tell is encoded as a whole."""
        if _MORE_THAN_WORDS.search(text):
            return list(self._encoded(text))
        return [token for word in text.split(" ") for token in self._word(word)] if text else []

    def _encoded(self, text: str) -> tuple[int, ...]:
        plain = text.encode(errors="replace").decode()  # lone surrogates are refused
        return tuple(self._tokenizer.encode(plain, add_special_tokens=False).ids)


_WORDS = 100_000
_MORE_THAN_WORDS = re.compile(
    r"  |\A | \Z|▁|</?s>|<unk>|\S{100}"
)  # runs of spaces, and what has a token of its own


def _load_wordllama() -> _WordLlama:
    """From the package's own folder: `load()` with its defaults asks the network."""
    spec = importlib.util.find_spec("wordllama")
    if spec is None or spec.origin is None:
        raise Bug("The package wordllama is not installed.", "Install ratchet's dependencies again.")
    model = importlib.import_module("wordllama").WordLlama.load(
        cache_dir=Path(spec.origin).parent, disable_download=True, dim=DIMENSIONS
    )
    model.tokenizer.no_padding()  # padding tokens would take part in the mean
    return _WordLlama(model.tokenizer, model.embedding)


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32, copy=False)


class _Embedding(msgspec.Struct):
    index: int
    embedding: list[float]


class _Reply(msgspec.Struct):
    data: list[_Embedding]


class RemoteEmbedder:
    """Any `/v1/embeddings` in OpenAI's form: a provider's, or a ratchet gateway's.

    `base_url` ends before `/embeddings`. Texts go in batches of `batch`, a few batches at a time. A request takes
    `timeout` seconds at most, and a batch `deadline`, however often it is asked again. `clock` gives seconds; `chance`
    gives numbers from 0 to 1, which spread retries.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str = "",
        batch: int = 128,
        at_once: int = 4,
        timeout: float = 30,
        deadline: float = 120,
        kept: int = _KEPT,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._secret = api_key
        self._address = f"{base_url.rstrip('/')}/embeddings"
        self._model = model
        self._headers = {"content-type": "application/json"}
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._batch = batch
        self._turns = asyncio.Semaphore(at_once)
        self._timeout, self._deadline = timeout, deadline
        self._clock, self._sleep, self._chance = clock, sleep, chance
        self._vectors = _Cache[Vectors](kept)
        self._client: Client | None = None

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, shape (texts, dimensions). Raises UpstreamError where they can't be had."""
        if not texts:
            return np.zeros((0, 0), np.float32)
        found, new = self._vectors.look(texts)
        if new:
            for chunk, vectors in zip(self._chunks(new), await self._asked(new), strict=True):
                made = _rows(chunk, vectors)
                self._vectors.keep(made)
                found |= made
        rows = [found[text] for text in texts]
        if len({len(row) for row in rows}) > 1:
            raise self._broken("vectors of different lengths")
        return np.stack(rows)

    def _chunks(self, texts: Sequence[str]) -> Iterator[Sequence[str]]:
        for begin in range(0, len(texts), self._batch):
            yield texts[begin : begin + self._batch]

    async def _asked(self, texts: Sequence[str]) -> list[Vectors]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._ask(chunk)) for chunk in self._chunks(texts)]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _ask(self, texts: Sequence[str]) -> Vectors:
        """One batch. Turned away for now (429) or failed there (5xx), it is asked again, in pauses that double or that
        the server names, as long as the deadline leaves time for it."""
        body = msgspec.json.encode({"model": self._model, "input": texts, "encoding_format": "float"})
        async with self._turns:
            end = self._clock() + self._deadline
            pause = _FIRST_PAUSE
            while True:
                status, after, answer = await self._once(body, len(texts), end)
                if status == 200:
                    return self._read(answer, len(texts))
                wait = after or pause * (0.5 + self._chance())
                if not (status == 429 or status >= 500) or self._clock() + wait >= end:
                    said = answer.decode(errors="replace")
                    if self._secret:
                        said = said.replace(self._secret, "[redacted]")
                    raise UpstreamRefused(
                        f"{self._address} answered {status} for model {self._model}: {said[:300]}",
                        "Check model and key of the embeddings.",
                        status=status,
                        body=said.encode(),
                    )
                await self._sleep(wait)
                pause *= 2

    async def _once(self, body: bytes, count: int, end: float) -> tuple[int, float, bytes]:
        """Status, the seconds that the server wants to be left alone, and the body."""
        if self._client is None:
            self._client = ClientBuilder().follow_redirects(False).build()
        limit = min(self._timeout, end - self._clock())
        try:
            request = self._client.post(self._address).headers(self._headers).body_bytes(body)
            async with asyncio.timeout(limit):
                response = await request.build().send()
                answer = bytes(await response.bytes())
        except TimeoutError:
            raise UpstreamTimeout(
                f"{self._address} did not embed {count} texts within {limit:g} s.", "Try again."
            ) from None
        except RequestError as error:
            raise UpstreamFailed(
                f"{self._address} can't be reached: {reason_of(error)}.",
                "Check the address of the embeddings.",
            ) from None
        after = str(response.headers.get("retry-after") or "")
        return response.status, float(after) if after.isascii() and after.isdigit() else 0.0, answer

    def _read(self, answer: bytes, wanted: int) -> Vectors:
        try:
            data = msgspec.json.decode(answer, type=_Reply).data
        except msgspec.DecodeError as error:
            raise self._broken(str(error)) from None
        if sorted(each.index for each in data) != list(range(wanted)):
            raise self._broken(f"{len(data)} vectors for {wanted} texts")
        widths = {len(each.embedding) for each in data}
        if len(widths) != 1 or 0 in widths:
            raise self._broken("vectors of different lengths")
        vectors = np.array([each.embedding for each in sorted(data, key=attrgetter("index"))], np.float64)
        if not (np.abs(vectors) < _LARGEST).all():
            raise self._broken("numbers that no embedding has")
        return _unit(vectors.astype(np.float32))

    def _broken(self, what: str) -> UpstreamFailed:
        return UpstreamFailed(
            f"{self._address} answered with something else than embeddings: {what}.", "Check the model."
        )
