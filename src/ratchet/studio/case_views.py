"""Cases as pages and programs see them: sealed ones shut."""

from __future__ import annotations

import msgspec

from ratchet.datasets.growing import Grown
from ratchet.domain.cases import Case

__all__ = ["DuplicateView", "PutView", "ShownCase", "put_view", "shown_case"]


class ShownCase(Case, frozen=True, kw_only=True, omit_defaults=True):
    """A case. One that is `sealed` shows neither what it asks nor what it expects."""

    sealed: bool = False


class DuplicateView(msgspec.Struct, frozen=True):
    """A case that was not taken, and the one that it repeats. `differs`: they expect different answers."""

    id: str
    of: str
    resemblance: float
    differs: bool


class PutView(msgspec.Struct, frozen=True):
    """What came of putting cases. `left_out` are in no split, since they would leak."""

    version: int
    added: int
    changed: int
    removed: int
    unchanged: int
    duplicates: list[DuplicateView]
    left_out: list[str]


def shown_case(case: Case) -> ShownCase:
    """The case, which has been hidden already where it is sealed."""
    return ShownCase(**msgspec.structs.asdict(case), sealed=case.input == "")


def put_view(grown: Grown) -> PutView:
    changed = grown.changed
    return PutView(
        version=changed.version,
        added=changed.added,
        changed=changed.changed,
        removed=changed.removed,
        unchanged=changed.unchanged,
        duplicates=[
            DuplicateView(one.case.id, one.of, round(one.resemblance, 3), one.differs)
            for one in grown.duplicates
        ],
        left_out=grown.left_out,
    )
