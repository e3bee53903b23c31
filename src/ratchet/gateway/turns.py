"""One request at a time for each user, where a route asks for it."""

from __future__ import annotations

from ratchet.gateway.exchange import Exchange
from ratchet.gateway.upstream.queueing import FairQueue

__all__ = ["take_turn"]

_MOST_WAITING = 16


async def take_turn(exchange: Exchange) -> None:
    """Wait until the user's earlier requests to this route are done. Raises RateLimited where too many wait already.

    Users are told apart within a key's project; a request that names none waits for nobody.
    """
    user, key, route = exchange.caller.user, exchange.key, exchange.route
    if not user or key is None or route is None:
        return
    lines, clock = exchange.services.turns, exchange.services.health.clock
    name = (key.project_id, route.name, user)
    line = lines.get(name)
    if line is None:
        line = lines[name] = FairQueue(f"the user {user!r}", 1, _MOST_WAITING, clock=clock)
    entered = await line.enter("", route.priority, route.timeout)

    async def leave(_exchange: Exchange) -> None:
        line.leave(entered)
        if not line.held and not line.waiting:
            lines.pop(name, None)

    exchange.settlements.append(leave)
