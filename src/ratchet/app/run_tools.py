"""What the scorers of a run are handed, made before the run itself: each part is bound, or loaded, when it is used."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ratchet.app.loading import load
from ratchet.app.own_code import OwnCode
from ratchet.app.settings import EmbeddingSettings
from ratchet.domain.cases import Case, Output
from ratchet.errors import Misconfigured
from ratchet.evals.answering import Answerer, Memory
from ratchet.gateway.inside import Reply, generator
from ratchet.gateway.providers import resolve_secret
from ratchet.scorers.scorer import ScorerAbout, Tools

__all__ = ["RunTools"]


class RunTools:
    """`memory` and `answerers` are set when the run begins; scorers are called after that only."""

    def __init__(
        self,
        code: OwnCode,
        embeddings: EmbeddingSettings,
        *,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.code = code
        self._local = _Local()
        self._embeddings = embeddings
        self._key, self._missing = resolve_secret(embeddings.api_key, environment)
        self._remote: Any = None
        self.memory: Memory | None = None
        self.answerers: dict[str, Answerer] = {}

    def of(self, candidate: str) -> Tools:
        """The tools of scorers that score this candidate."""

        async def answers(case: Case, draw: int) -> Output:
            return await self.answerers[candidate].again(case, draw)

        return Tools(
            generate=generator(self._ask),
            answers=answers,
            embed=self._embed,
            tokens=self._local,
            load=self.code.load,
        )

    def check(self, scorers: Sequence[ScorerAbout]) -> None:
        """Raises Misconfigured where one of them embeds texts and can't."""
        if self._missing and any(about.embeds for about in scorers):
            raise Misconfigured(
                f"The variable {self._missing}, which [embeddings] names as its key, is not set.",
                "Set it, or take [embeddings] out of ratchet.toml: then the local model embeds.",
            )

    async def _embed(self, texts: Sequence[str]) -> Any:
        if self._embeddings.base_url is None:
            return await self._local.embed(texts)
        if self._remote is None:
            self._remote = load("embeddings").RemoteEmbedder(
                str(self._embeddings.base_url), self._embeddings.model, api_key=self._key or ""
            )
        return await self._remote.embed(texts)

    async def _ask(self, path: str, body: bytes) -> Reply:
        assert self.memory is not None  # noqa: S101 - see the class
        return await self.memory.ask(path, body)


class _Local:
    """The local embedder, loaded when a scorer embeds something. Tokens are always its own: no API gives them out."""

    def __init__(self) -> None:
        self._loaded: list[Any] = []

    async def embed(self, texts: Sequence[str]) -> Any:
        return await self._it().embed(texts)

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        return self._it().tokens(texts)

    def token_vectors(self, tokens: Sequence[int]) -> Any:
        return self._it().token_vectors(tokens)

    def _it(self) -> Any:
        if not self._loaded:
            self._loaded.append(load("embeddings").LocalEmbedder())
        return self._loaded[0]
