"""Which tool is meant: by distance where one is clearly nearest, with the same promise as for kept answers.

A tool is where its name, its description and its parameters are, and where the texts are that a model chose it for. How
likely the nearest tool is the right one is learned as for answers (`learning`): from a set of tools with known texts at
first (`toolbox`), and then from what models choose. What likeness can't tell, such as a negation, `wishes` looks for.
"""

from __future__ import annotations

import copy
import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ratchet.gateway.cache.learning import Belief, Bound, Features
from ratchet.gateway.cache.likeness import content_words
from ratchet.gateway.cache.toolbox import TOOLBOX
from ratchet.gateway.cache.wishes import Openings, doubt, manner_of, reading_of

__all__ = ["Choosing", "Nearest", "Tool"]

Vectors = Callable[[Sequence[str]], NDArray[np.float32]]
_PRIORS = {"bias": 4.0, "cosine": 4.0, "margin": 4.0, "near": 2.0, "words": 2.0, "tool": 0.5}
_AUDITED = 0.05
_MOST_SETS = 200  # of tools, in memory
_MOST_EXAMPLES = 40  # texts that a model chose a tool for
_WRITTEN_TOGETHER = str.maketrans("_-./", "    ")


class Tool(msgspec.Struct, frozen=True):
    """What is known of a function: `text` describes it. `called` is its name as words."""

    name: str
    text: str
    called: str
    described: str

    @classmethod
    def made(cls, name: str, description: str, parameters: Any = None) -> Tool:
        fields = parameters.get("properties") if isinstance(parameters, dict) else None  # pyright: ignore
        named = " ".join(map(str, fields)) if isinstance(fields, dict) else ""  # pyright: ignore
        words = "".join(f" {sign.lower()}" if sign.isupper() else sign for sign in name)
        called = words.translate(_WRITTEN_TOGETHER).strip()
        text = f"{called} {named.translate(_WRITTEN_TOGETHER)}".strip() + f". {description}"
        return cls(name, text, called, description)


class Nearest(msgspec.Struct, frozen=True):
    """The nearest tool. `clear`: it may be chosen by its distance alone. `doubt` is why not, whatever the distance."""

    tool: str
    distance: float  # 1 less the cosine, from 0 to 2
    features: Features
    risk: float
    clear: bool
    doubt: str
    opening: str  # what the text begins with


class _Set:
    """One list of tools, and what is learned of it."""

    def __init__(
        self, tools: Sequence[Tool], vectors: NDArray[np.float32], belief: Belief, bound: Bound
    ) -> None:
        self.names = [tool.name for tool in tools]
        self.words = [frozenset(content_words(tool.text)) for tool in tools]
        self.manners = [manner_of(tool.called, tool.described, tool.text) for tool in tools]
        self.openings = Openings()
        self.rows = vectors
        self.owners = list(range(len(tools)))  # of each row
        self.belief, self.bound = belief, bound

    def nearest(self, text: str, vector: NDArray[np.float32]) -> Nearest:
        best = np.full(len(self.names), -1.0, np.float32)
        np.maximum.at(best, self.owners, self.rows @ vector)
        order = np.argsort(-best)
        first = int(order[0])
        cosine = float(best[first])
        runner_up = float(best[order[1]]) if len(order) > 1 else 0.0
        words = frozenset(content_words(text))
        features = [
            ("bias", 1.0),
            ("cosine", (cosine - 0.4) * 3),
            (f"near:{max(0, int(cosine * 10))}", 1.0),
            ("margin", min(cosine - runner_up, 0.4) * 6),
            ("words", len(words & self.words[first]) / max(1, len(words)) * 2),
            (f"tool:{self.names[first]}", 1.0),
        ]
        risk = 1 - self.belief.right(features)
        doubtful, opening = self._doubt(text, [int(place) for place in order])
        clear = not doubtful and risk <= min(self.bound.risk, self.bound.most)
        return Nearest(self.names[first], 1 - cosine, features, risk, clear, doubtful, opening)

    def _doubt(self, text: str, order: Sequence[int]) -> tuple[str, str]:
        """About the first of `order`, and what the text begins with."""
        reading = reading_of(text)
        found = doubt(reading, self.manners[order[0]], [self.manners[place] for place in order[1:]])
        heard = found == "unheard" and self.openings.says(reading.opening, self.names[order[0]])
        return "" if heard else found, reading.opening

    def add(self, tool: str, vector: NDArray[np.float32]) -> None:
        owner = self.names.index(tool)
        if self.owners.count(owner) <= _MOST_EXAMPLES:
            self.rows = np.vstack([self.rows, vector])
            self.owners.append(owner)


class Choosing:
    """For all sets of tools that a gateway is asked about. Belongs to one event loop."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors
        self._sets: OrderedDict[tuple[str, str, float], _Set] = OrderedDict()
        self._belief, self.taught = self._teach()

    def nearest(self, project: str, tools: Sequence[Tool], text: str, *, most: float) -> Nearest:
        """`most` is the share of wrong choices that is promised."""
        return self._set(project, tools, most).nearest(text, self._vectors([text])[0])

    def learn(
        self,
        project: str,
        tools: Sequence[Tool],
        text: str,
        nearest: Nearest,
        *,
        chosen: str | None,
        most: float,
    ) -> None:
        """A model has chosen, `None` where it chose no tool. What distance must never decide teaches nothing of it."""
        if nearest.doubt not in ("", "unheard"):
            return
        known = self._set(project, tools, most)
        known.bound.note(nearest.risk, right=chosen == nearest.tool)
        known.belief.learn(nearest.features, right=chosen == nearest.tool)
        if chosen in known.names:
            known.add(chosen, self._vectors([text])[0])
        known.openings.learn(nearest.opening, chosen or "")

    @staticmethod
    def audits(nearest: Nearest, chance: float) -> bool:
        """Whether the model is asked all the same, to see what a clear choice is worth."""
        return nearest.clear and chance < _AUDITED

    def _set(self, project: str, tools: Sequence[Tool], most: float) -> _Set:
        key = project, json.dumps([[tool.name, tool.text] for tool in tools]), most
        known = self._sets.get(key)
        if known is None:
            bound = Bound(most)
            for risk, right in self.taught:
                bound.note(risk, right=right)
            vectors = self._vectors([tool.text for tool in tools])
            known = self._sets[key] = _Set(tools, vectors, copy.deepcopy(self._belief), bound)
            while len(self._sets) > _MOST_SETS:
                self._sets.popitem(last=False)
        self._sets.move_to_end(key)
        return known

    def _teach(self) -> tuple[Belief, list[tuple[float, bool]]]:
        """What the toolbox teaches; and, of each set in it, how risky its choices looked to those who knew only the
        other sets, and whether they were right: an app's tools are as new."""
        seen: list[tuple[float, bool]] = []
        for left_out in TOOLBOX:
            belief = self._learned([name for name in TOOLBOX if name != left_out])
            for nearest, right in self._cases(left_out, belief):
                seen.append((nearest.risk, right))
        return self._learned(list(TOOLBOX)), seen

    def _learned(self, names: Sequence[str]) -> Belief:
        belief = Belief({family: prior for family, prior in _PRIORS.items() if family != "tool"})
        for name in names:
            for nearest, right in self._cases(name, belief):
                belief.learn(nearest.features, right=right)
        return belief.wider(_PRIORS)

    def _cases(self, name: str, belief: Belief) -> list[tuple[Nearest, bool]]:
        box = TOOLBOX[name]
        tools = [Tool.made(*about) for about in box]
        known = _Set(tools, self._vectors([tool.text for tool in tools]), belief, Bound(0.5))
        found: list[tuple[Nearest, bool]] = []
        for about, texts in box.items():
            for text, vector in zip(texts, self._vectors(list(texts)), strict=True):
                nearest = known.nearest(text, vector)
                found.append((nearest, nearest.tool == about[0]))
        return found
