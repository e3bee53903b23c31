"""From targets that may fail to one answer: who is asked, who is asked next, and when to give up."""

from __future__ import annotations

import asyncio
import math

from ratchet.errors import RatchetError, RateLimited, UpstreamUnavailable
from ratchet.gateway.answering.asking import ask
from ratchet.gateway.attempt import Attempt, Failed
from ratchet.gateway.choosing import Candidate, Plan, candidates
from ratchet.gateway.exchange import Exchange
from ratchet.gateway.snapshot import Route
from ratchet.gateway.upstream.failures import CONDUCT, Failure

__all__ = ["pursue", "settle_attempt"]

_LONGEST_WAIT = 10.0  # seconds that a request waits, all in all, for a provider that wants to be left alone
_SLOW_SHARE = 0.95  # a hedge begins where the first is slower than this share of its last answers


async def pursue(exchange: Exchange) -> Attempt:
    """The first attempt whose answer is good: whole, or a stream that may go on to the app.

    Everything together takes no longer than the route's timeout, and no more attempts than it allows. Raises the last
    attempt's error where there is no good answer; an answer that was whole but empty, or a refusal, is better than
    that.
    """
    route, services = exchange.route, exchange.services
    assert route is not None  # noqa: S101 - `resolve` has set it
    health = services.health
    clock = health.clock
    now = clock()
    due, patience = now + route.timeout, _LONGEST_WAIT
    found = candidates(route, now, health.chance, exchange.caller.session)
    plan = Plan(found, route=route, chance=health.chance)
    last: Attempt | None = None
    fallback: Attempt | None = None
    while True:
        chosen = plan.next(now)
        if chosen is not None and _resting(chosen[0], now):
            chosen = plan.last_hope(now)
        wait = chosen[1] - now if chosen is not None else 0.0
        if chosen is None or wait > patience or now + wait >= due or (wait > 0 and _resting(chosen[0], now)):
            break
        if wait > 0:
            patience -= wait
            await asyncio.sleep(wait)
            now = clock()
            if chosen[0].circuit.ready_at(now) > now:  # others were quicker
                continue
        try:
            attempt = await _asked(exchange, plan, chosen[0], due)
        except Failed as failed:
            last = exchange.attempts[-1]
            failed.forget_frames()
            if last.content and failed.failure in (Failure.EMPTY, Failure.REFUSED):
                fallback = last
        except BaseException:
            if exchange.attempts:
                exchange.adopt(exchange.attempts[-1])
            raise
        else:
            exchange.adopt(attempt)
            return attempt
        now = clock()
    if fallback is not None:
        exchange.adopt(fallback)
        return fallback
    if last is not None:
        exchange.adopt(last)
    raise _nothing(route, last, chosen, now)


def _resting(candidate: Candidate, now: float) -> bool:
    """Whether the best there is has an open circuit: who waits for it only adds to what it is opened for."""
    return candidate.circuit.state != "closed" and candidate.circuit.ready_at(now) > now


def _nothing(
    route: Route, last: Attempt | None, next_: tuple[Candidate, float] | None, now: float
) -> RatchetError:
    """What the app is told where no target has answered."""
    if last is not None and last.failed is not None:
        return last.failed.error
    assert next_ is not None  # noqa: S101 - a route has targets, and none of them was asked
    candidate, moment = next_
    seconds = 1.0 if math.isinf(moment) else max(1.0, math.ceil(moment - now))
    if candidate.circuit.limited_until > now:
        return RateLimited(
            f"{candidate.target.name} asked the gateway to slow down.",
            f"Try again in {seconds:g} s.",
            retry_after=seconds,
            code="upstream_rate_limited",
        )
    unavailable = UpstreamUnavailable(
        f"No target of the route {route.name!r} answers at the moment.",
        f"Try again in {seconds:g} s; the page Reliability of the studio says what is wrong with each.",
    )
    unavailable.retry_after = seconds
    return unavailable


async def _asked(exchange: Exchange, plan: Plan, candidate: Candidate, due: float) -> Attempt:
    route, head = exchange.route, exchange.head
    assert route is not None  # noqa: S101 - `resolve` has set both
    assert head is not None  # noqa: S101
    if route.hedge and len(route.targets) > 1:
        patience = candidate.target.pace.quantile(_SLOW_SHARE, stream=bool(head.stream))
        if patience is not None:
            return await _hedged(exchange, plan, candidate, due, patience)
    return await _once(exchange, plan, _begun(exchange, plan, candidate), due)


async def _hedged(
    exchange: Exchange, plan: Plan, candidate: Candidate, due: float, patience: float
) -> Attempt:
    """Ask a second target when the first is slow; the first good answer counts (Dean and Barroso, The Tail at Scale,
    2013)."""
    clock = exchange.services.health.clock
    # Begun before anything is waited for: what the circuit allows, it allows now.
    tasks = [asyncio.ensure_future(_once(exchange, plan, _begun(exchange, plan, candidate), due))]
    winner: Attempt | None = None
    try:
        done, _ = await asyncio.wait(tasks, timeout=patience)
        rival = plan.peek(candidate, clock()) if not done and plan.left else None
        if rival is not None:
            tasks.append(asyncio.ensure_future(_once(exchange, plan, _begun(exchange, plan, rival), due)))
        racing = set(tasks)
        while True:
            done, racing = await asyncio.wait(racing, return_when=asyncio.FIRST_COMPLETED)
            good = [task for task in done if task.exception() is None]
            if good or not racing:
                winner = (good or list(done))[0].result()
                return winner
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        _end_losers(exchange, winner)


def _end_losers(exchange: Exchange, winner: Attempt | None) -> None:
    """What they have said so far may have to be paid for; nobody waits for the rest."""
    for attempt in exchange.attempts:
        if attempt is winner or winner is None:
            continue
        if attempt.failed is None or attempt.failed.failure is Failure.LEFT:
            attempt.failed = Failed(
                Failure.BEATEN, UpstreamUnavailable(f"{winner.target.name} was quicker.", "")
            )
            attempt.learn()
            attempt.close()
            attempt.leave()


def _begun(exchange: Exchange, plan: Plan, candidate: Candidate) -> Attempt:
    """An attempt that counts from now on."""
    attempt = exchange.new_attempt(candidate)
    plan.begun(candidate)
    attempt.ticket = candidate.circuit.begin()
    candidate.target.pace.in_flight += 1
    return attempt


async def _once(exchange: Exchange, plan: Plan, attempt: Attempt, due: float) -> Attempt:
    """One attempt, and what is to be learnt of it. Raises Failed."""
    health, candidate, target = exchange.services.health, attempt.candidate, attempt.target
    began = health.clock()
    try:
        await ask(exchange, attempt, max(due - began, 0.001))
    except Failed as failed:
        attempt.failed = failed
        attempt.learn()
        attempt.close()
        now = health.clock()
        plan.failed(candidate, failed.failure, now, failed.told)
        settle_attempt(attempt, now)
        raise
    except RateLimited as full:  # the provider's queue: nothing was asked
        attempt.failed = Failed(Failure.FULL, full)
        plan.failed(candidate, Failure.FULL, health.clock(), None)
        attempt.leave()
        raise attempt.failed from full
    except BaseException:
        attempt.failed = attempt.failed or Failed(
            Failure.LEFT, UpstreamUnavailable("Nobody waits for it.", "")
        )
        attempt.learn()
        attempt.close()
        attempt.leave()
        raise
    finally:
        attempt.ended = exchange.elapsed()
    now, head = health.clock(), exchange.head
    target.pace.answered(now - began, now, stream=head is not None and bool(head.stream))
    if attempt.reader is None:
        settle_attempt(attempt, now)
    return attempt


def settle_attempt(attempt: Attempt, now: float) -> None:
    """Tell the target's health how an attempt that is over went; the first time only."""
    if not attempt.open:
        return
    attempt.leave()
    circuit, failed = attempt.candidate.circuit, attempt.failed
    if failed is None:
        circuit.succeeded(attempt.ticket)
        return
    match CONDUCT[failed.failure].blames:
        case "circuit":
            circuit.failed(now, failed.error.message, attempt.ticket)
        case "credential":
            circuit.refused(now, failed.error.message)
        case _:
            pass
    if failed.failure is Failure.RATE_LIMITED and failed.told is not None:
        circuit.limited(now + failed.told)
