"""The nearest texts: a product of matrices while they are few, a graph (HNSW, by usearch) when they are many."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from usearch.index import Index

__all__ = ["Neighbours"]

_FEW = 2048  # so many are compared in a tenth of a millisecond
_CONNECTIVITY, _EXPANSION_ADD, _EXPANSION_SEARCH = 16, 64, 96
Vector = NDArray[np.float32]


class Neighbours:
    """Unit vectors by number. Belongs to one event loop."""

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions
        self._rows = np.zeros((64, dimensions), np.float32)
        self._numbers: list[int] = []
        self._places: dict[int, int] = {}
        self._graph: Index | None = None

    def __len__(self) -> int:
        return len(self._numbers) if self._graph is None else len(self._graph)

    def add(self, number: int, vector: Vector) -> None:
        """Under a number that is not in use."""
        if self._graph is not None:
            self._graph.add(number, vector)
            return
        place = len(self._numbers)
        if place == len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        self._rows[place] = vector
        self._numbers.append(number)
        self._places[number] = place
        if len(self._numbers) > _FEW:
            self._become_graph()

    def remove(self, number: int) -> None:
        if self._graph is not None:
            self._graph.remove(number)
            return
        place = self._places.pop(number)
        last = self._numbers.pop()
        if last != number:  # the last takes its place
            self._numbers[place] = last
            self._places[last] = place
            self._rows[place] = self._rows[len(self._numbers)]

    def nearest(self, vector: Vector, count: int) -> list[tuple[int, float]]:
        """Numbers with their cosine, the nearest first; `count` at most."""
        if self._graph is not None:
            found = self._graph.search(vector, count)
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

    def _become_graph(self) -> None:
        graph = Index(
            ndim=self._dimensions,
            metric="cos",
            dtype="f32",
            connectivity=_CONNECTIVITY,
            expansion_add=_EXPANSION_ADD,
            expansion_search=_EXPANSION_SEARCH,
        )
        graph.add(np.array(self._numbers, np.uint64), self._rows[: len(self._numbers)])
        self._graph = graph
        self._rows, self._numbers, self._places = self._rows[:0], [], {}
