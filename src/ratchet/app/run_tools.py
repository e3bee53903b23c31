"""What the scorers of a run are handed, made before the run itself: each part is bound, or loaded, when it is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ratchet.app.loading import load
from ratchet.app.own_code import OwnCode
from ratchet.domain.cases import Case, Output
from ratchet.evals.answering import Answerer, Memory
from ratchet.gateway.inside import Reply, generator
from ratchet.scorers.scorer import Tools

__all__ = ["RunTools"]


class RunTools:
    """`memory` and `answerers` are set when the run begins; scorers are called after that only."""

    def __init__(self, code: OwnCode) -> None:
        self.code = code
        self._embedder = _Embedder()
        self.memory: Memory | None = None
        self.answerers: dict[str, Answerer] = {}

    def of(self, candidate: str) -> Tools:
        """The tools of scorers that score this candidate."""

        async def answers(case: Case, draw: int) -> Output:
            return await self.answerers[candidate].again(case, draw)

        return Tools(
            generate=generator(self._ask),
            answers=answers,
            embed=self._embedder.embed,
            tokens=self._embedder,
            load=self.code.load,
        )

    async def _ask(self, path: str, body: bytes) -> Reply:
        assert self.memory is not None  # noqa: S101 - see the class
        return await self.memory.ask(path, body)


class _Embedder:
    """The local embedder, loaded when a scorer embeds something."""

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
