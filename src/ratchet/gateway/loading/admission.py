"""Which steps stand between a request that can be read and the route it asks for: blocks, challenges, trust."""

from __future__ import annotations

import msgspec

from ratchet.gateway.loading.merging import Merged
from ratchet.gateway.loading.remembered import Known
from ratchet.gateway.snapshot import Step
from ratchet.gateway.standing.placing import TrustPolicy
from ratchet.gateway.standing.proving import proof_step
from ratchet.gateway.standing.standings import Standings, standing_step
from ratchet.gateway.trust.segments import Segments
from ratchet.gateway.trust.settings import TrustSettings, nanoseconds

__all__ = ["Admission", "admission"]


class Admission(msgspec.Struct, frozen=True):
    """The steps; of these the one that turns the blocked away; and one that only looks how far a caller is trusted."""

    steps: tuple[Step, ...] = ()
    stand: Step | None = None
    look: Step | None = None


def admission(trust: TrustSettings, merged: Merged, known: Known) -> Admission:
    """No step where nobody has asked for any. Raises Misconfigured where somebody would be in two segments."""
    steps: list[Step] = []
    stand = standing_step(Standings(known.standings)) if known.standings else None
    if stand is not None:
        steps.append(stand)
    publishable = any(key.publishable for key in known.keys)
    if publishable:
        steps.append(proof_step(nanoseconds(trust.solved_for)))
        if stand is not None:
            steps.append(stand)  # a pass may have said who it is
    policy = TrustPolicy(trust, Segments(merged.segments))
    if not merged.segments and not publishable:
        return Admission(tuple(steps), stand)
    return Admission((*steps, policy.place), stand, policy.look)
