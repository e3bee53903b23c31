"""Which steps stand between a request that can be read and the route it asks for: blocks, challenges, trust."""

from __future__ import annotations

import msgspec

from ratchet.gateway.merging import Sections
from ratchet.gateway.placing import TrustPolicy
from ratchet.gateway.proving import proof_step
from ratchet.gateway.remembered import Known
from ratchet.gateway.snapshot import Step
from ratchet.gateway.trust.segments import Segments
from ratchet.gateway.trust.settings import nanoseconds

__all__ = ["Admission", "admission"]


class Admission(msgspec.Struct, frozen=True):
    """The steps, and the one of them that says how far a caller is trusted."""

    steps: tuple[Step, ...] = ()
    place: Step | None = None


def admission(sections: Sections, known: Known) -> Admission:
    """No step where nobody has asked for any. Raises Misconfigured where somebody would be in two segments."""
    policy = TrustPolicy(sections.trust, Segments(sections.segments))
    steps: list[Step] = []
    publishable = any(key.publishable for key in known.keys)
    if publishable:
        steps.append(proof_step(nanoseconds(sections.trust.solved_for)))
    if not sections.segments and not publishable:
        return Admission(tuple(steps))
    return Admission((*steps, policy.place), policy.place)
