"""Which part the model plays: told from what the prompt asks, never from a flag.

`ROLES` is tried in order; the first role that recognises the request answers it. The answerer recognises everything
and stands last. A role lives in a file of its own and is added to the list here.
"""

from __future__ import annotations

from ratchet.simulator.answerer import ANSWERER
from ratchet.simulator.ask import Ask
from ratchet.simulator.draft import Role
from ratchet.simulator.judge.role import JUDGE
from ratchet.simulator.writer import WRITER

__all__ = ["ROLES", "role_for"]

ROLES: tuple[Role, ...] = (WRITER, JUDGE, ANSWERER)


def role_for(ask: Ask) -> Role:
    """The first role that recognises `ask`."""
    return next(role for role in ROLES if role.recognises(ask))
