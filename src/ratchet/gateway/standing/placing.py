"""Which segment a caller is in, how far they are trusted, and what their request says about them."""

from __future__ import annotations

from functools import partial

from ratchet.errors import CallerError, RatchetError, RateLimited, UpstreamRefused
from ratchet.gateway.caller import Caller
from ratchet.gateway.exchange import Exchange
from ratchet.gateway.identity import source_of
from ratchet.gateway.trust.book import Known, Subject
from ratchet.gateway.trust.core import Prior, scale_of, source_share
from ratchet.gateway.trust.segments import Segments
from ratchet.gateway.trust.settings import TrustSettings, nanoseconds

__all__ = ["TrustPolicy", "user_of"]

_ATTRIBUTE = "ratchet.trust"


def user_of(project_id: str, caller: Caller) -> Subject | None:
    """Whom trust is about; None where nobody says who asks."""
    return Subject(project_id, "user", caller.user) if caller.user else None


class TrustPolicy:
    """What a snapshot says of segments and trust. Its steps keep nothing themselves: the book and the crowds do."""

    def __init__(self, settings: TrustSettings, segments: Segments) -> None:
        self.settings = settings
        self.segments = segments
        self.half_life = nanoseconds(settings.half_life)
        self._window = nanoseconds(settings.source_window)

    async def place(self, exchange: Exchange) -> None:
        """Sets the exchange's segment, trust and scale, and learns from how the request ends."""
        key, caller, segment = exchange.key, exchange.caller, self.segments.only
        assert key is not None  # noqa: S101 - `authenticate` has set it
        if segment is None:
            head = exchange.head
            said = head.metadata if head is not None and not key.publishable else None
            segment = self.segments.of(caller, key, said)
        elif not self.segments.named and not key.publishable:
            return
        exchange.segment, prior = segment.name, segment.prior
        if not caller.user or exchange.allowed:
            exchange.scale *= prior.most
            return
        subject, book = Subject(key.project_id, "user", caller.user), exchange.services.trust
        known = book.at_hand(subject, prior, exchange.started)
        if known is None:
            known = await book.known(subject, prior, self.half_life)
        trust, text, scale = known.trust, known.text, known.scale
        if caller.ip or caller.fingerprint:
            for source in self._sources(exchange):
                await self._count(exchange, source)
                trust *= source_share(await book.against(source, self.half_life))
            text, scale = f"{trust:.2f}", scale_of(trust, prior.least, prior.most)
        exchange.trust = trust
        exchange.note(_ATTRIBUTE, text)
        exchange.scale *= scale
        exchange.settlements.append(partial(self._learn, subject, known))

    async def _learn(self, subject: Subject, known: Known, exchange: Exchange) -> None:
        """What the end of a request says about who sent it."""
        if exchange.error is None and not known.gone:
            known.answered()
            return
        event = _event(exchange.error)
        if event:
            exchange.services.trust.note(subject, event, half_life=self.half_life)

    async def look(self, exchange: Exchange) -> None:
        """Sets the exchange's trust, and leaves nothing behind."""
        key, caller = exchange.key, exchange.caller
        assert key is not None  # noqa: S101 - `authenticate` has set it
        subject = user_of(key.project_id, caller)
        if subject is None or exchange.allowed:
            return
        book, segment = exchange.services.trust, self.segments.of(caller, key, None)
        trust, _ = await book.look(subject, segment.prior, self.half_life)
        for source in self._sources(exchange):
            _, against = await book.look(source, Prior(), self.half_life)
            trust *= source_share(against)
        exchange.trust = trust

    def _sources(self, exchange: Exchange) -> list[Subject]:
        """Where the user comes from. What tells browsers apart is no source of its own: many people share one."""
        caller, key = exchange.caller, exchange.key
        assert key is not None  # noqa: S101 - see above
        sources: list[Subject] = []
        if self.settings.accounts_per_source:
            if caller.ip:
                sources.append(Subject(key.project_id, "ip", source_of(caller.ip)))
            if caller.fingerprint and not key.publishable:
                sources.append(Subject(key.project_id, "fingerprint", caller.fingerprint))
        return sources

    async def _count(self, exchange: Exchange, source: Subject) -> None:
        """Another account behind `source`? Too many lower the trust in all of them."""
        services = exchange.services
        most = self.settings.accounts_per_source
        accounts = await services.crowds.note(source, exchange.caller.user, self._window)
        if accounts is None or accounts <= most:
            return
        services.trust.note(source, "crowded", half_life=self.half_life)
        where = {"ip": "address", "fingerprint": "device"}[source.kind]
        services.notices.tell(
            "abuse.suspected",
            source.name,
            f"More than {most} users came from the {where} {source.name} within {self.settings.source_window}. Trust in "
            "whoever comes from there is lowered.",
            project_id=source.project_id,
            attributes={
                "source": source.kind,
                "accounts": str(accounts),
                "window": self.settings.source_window,
            },
        )


def _event(error: RatchetError | None) -> str:
    """What a request says about who sent it. Failures of providers and of ours say nothing."""
    if error is None:
        return "answered"
    if isinstance(error, RateLimited):  # not every one is a limit of theirs: a provider's queue was full
        return "limit_hit" if error.reason == RateLimited.code else ""
    if isinstance(error, CallerError) or (isinstance(error, UpstreamRefused) and error.status in (400, 422)):
        return "mistake"
    return ""
