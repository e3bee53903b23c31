"""Upstream accounts. They know wire formats and nothing of policy."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Mapping, Sequence

from ratchet.addresses import Guard
from ratchet.catalog.prices import vendor_of
from ratchet.dialects.dialect import Dialect
from ratchet.errors import InvalidRequest, UpstreamFailed
from ratchet.gateway.providers.anthropic import ANTHROPIC
from ratchet.gateway.providers.azure import AZURE
from ratchet.gateway.providers.gemini import GEMINI
from ratchet.gateway.providers.kinds import Kind, Wire
from ratchet.gateway.providers.openai import OPENAI
from ratchet.gateway.providers.simulator import SIMULATOR
from ratchet.gateway.settings import ProviderSettings
from ratchet.gateway.upstream.connection import Answer
from ratchet.gateway.upstream.pool import DEFAULT_LONGEST, Endpoint, Pool

__all__ = ["KINDS", "Provider", "ProviderPool", "Wire", "resolve_secret"]

KINDS: Mapping[str, Kind] = {
    "anthropic": ANTHROPIC,
    "azure": AZURE,
    "gemini": GEMINI,
    "openai": OPENAI,
    "simulator": SIMULATOR,
}


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Provider:
    """An upstream account, ready to be called."""

    name: str
    kind: Kind
    base_url: str
    vendor: str  # whose price list it follows
    label: str  # gen_ai.provider.name
    wires: Mapping[str, Wire]  # by the app's dialect
    pool: Pool
    headers: tuple[bytes, ...]  # of every request, one for each credential, which is among them
    secrets: tuple[bytes, ...]  # the credentials alone, to be taken out of answers
    credentials: tuple[str, ...]  # what they are called: the variables that hold them; "" for none
    connect_timeout: float  # seconds
    timeout: float  # seconds, for a whole answer
    missing_secret: str | None  # the variable that should hold its only key and does not
    most_at_once: int | None
    most_waiting: int
    probe: str  # the model that is asked to see how the provider is; "" for none
    probe_interval: float  # seconds
    drop_fields: frozenset[str]
    ask_stream_usage: bool

    def wire_for(self, dialect: Dialect) -> Wire:
        """How to speak to it for an app that speaks `dialect`. Raises InvalidRequest where nothing will do."""
        wire = self.wires.get(dialect.name)
        if wire is None:
            raise InvalidRequest(
                f"The provider {self.name!r} offers no {dialect.operation}.",
                "Ask for a model of another provider.",
                code="not_expressible",
                param="model",
            )
        return wire

    async def request(
        self,
        wire: Wire,
        model: str,
        body: bytes,
        app: Mapping[bytes, bytes],
        *,
        stream: bool,
        credential: int = 0,
        connect_in: float | None = None,
        due_in: float | None = None,
    ) -> Answer:
        """Send `body`; `app` is the headers that the app sent, of which a few go on. Times are seconds.

        Raises Unreachable or ConnectionBroken.
        """
        path = self.pool.endpoint.path + wire.path(model, stream)
        return await self.pool.request(
            b"POST %b HTTP/1.1\r\n%bcontent-length: %d\r\n%b\r\n%b"
            % (path.encode("latin-1"), self.headers[credential], len(body), self._passed_on(app), body),
            self.timeout if due_in is None else due_in,
            self.connect_timeout if connect_in is None else connect_in,
            self.secrets[credential],
        )

    def check_credential(self) -> None:
        """Raises UpstreamFailed where the provider's key is not in the environment."""
        if self.missing_secret is not None:
            raise UpstreamFailed(
                f"The provider {self.name!r} has no key: the variable {self.missing_secret} is not set.",
                f"Set {self.missing_secret} in the gateway's environment and restart it.",
                code="upstream_credentials",
            )

    def _passed_on(self, app: Mapping[bytes, bytes]) -> bytes:
        # What an app sends can hold no line break: the server's parser refuses those.
        lines = b""
        for name in self.kind.passed_on:
            if name in app:
                lines += b"%b: %b\r\n" % (name, app[name])
        for name, value in self.kind.defaults:
            if name not in app:
                lines += b"%b: %b\r\n" % (name, value)
        return lines


@dataclasses.dataclass(frozen=True, slots=True)
class _Wanted:
    """What a provider is made of. `allowed` is which private addresses it may have; None for all."""

    settings: ProviderSettings
    base_url: str
    allowed: tuple[str, ...] | None
    longest: int


class ProviderPool:
    """Makes providers from settings and keeps their connections while the settings stay the same."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        self._built: dict[str, tuple[_Wanted, Provider]] = {}

    def build(
        self,
        settings: Mapping[str, ProviderSettings],
        *,
        simulator_url: str,
        guarded: Collection[str] = (),
        allow_private: Sequence[str] = (),
        longest: int = DEFAULT_LONGEST,
    ) -> dict[str, Provider]:
        """A provider for each of `settings`. Unchanged ones are the same objects as before.

        `simulator_url` is where the built-in simulator listens, for those of that kind with no address of their own.
        The providers in `guarded` reach private addresses only as far as `allow_private` names them. An answer may
        have `longest` bytes. Providers that were dropped are left to finish what they are doing.
        """
        built: dict[str, tuple[_Wanted, Provider]] = {}
        for name, chosen in settings.items():
            own = str(chosen.base_url or "")
            base_url = own or KINDS[chosen.kind].base_url or simulator_url
            allowed = tuple(allow_private) if own and name in guarded else None
            wanted = _Wanted(chosen, base_url, allowed, longest)
            before = self._built.get(name)
            if before is not None and before[0] == wanted:
                built[name] = before
            else:
                built[name] = (wanted, self._provider(name, wanted))
        kept = {id(provider) for _, provider in built.values()}
        for _, provider in self._built.values():
            if id(provider) not in kept:
                provider.pool.close()
        self._built = built
        return {name: provider for name, (_, provider) in built.items()}

    def _provider(self, name: str, wanted: _Wanted) -> Provider:
        settings, base_url = wanted.settings, wanted.base_url.rstrip("/")
        found = [resolve_secret(each, self._environment) for each in (settings.api_key, *settings.api_keys)]
        # Of several keys, those whose variable is not set are done without.
        secrets = [secret for secret, missing in found if missing is None] or [None]
        missing = None if any(missing is None for _, missing in found) else found[0][1]
        kind = KINDS[settings.kind]
        compatible = settings.kind == "openai" and settings.base_url is not None
        endpoint = Endpoint.of(kind.root(base_url))
        return Provider(
            name=name,
            kind=kind,
            base_url=base_url,
            vendor=vendor_of(settings.kind, str(settings.base_url or ""), name),
            label=name if compatible else kind.label,
            wires=kind.wires(settings),
            pool=Pool(
                endpoint,
                longest=wanted.longest,
                guard=None if wanted.allowed is None else Guard(wanted.allowed),
            ),
            headers=tuple(
                _headers(endpoint, None if secret is None else kind.credential(secret)) for secret in secrets
            ),
            secrets=tuple((secret or "").encode("latin-1", "replace") for secret in secrets),
            credentials=_names(settings, self._environment),
            connect_timeout=settings.connect_timeout,
            timeout=settings.timeout,
            most_at_once=settings.max_concurrency,
            most_waiting=settings.queue,
            probe=settings.probe or "",
            probe_interval=settings.probe_interval,
            missing_secret=missing,
            drop_fields=frozenset(settings.drop_fields),
            ask_stream_usage=settings.ask_stream_usage,
        )


def resolve_secret(reference: str | None, environment: Mapping[str, str]) -> tuple[str | None, str | None]:
    """`(secret, None)` for `env:NAME`, `(None, NAME)` where that variable is not set, `(None, None)` for None."""
    if reference is None:
        return None, None
    name = reference.removeprefix("env:")
    value = environment.get(name, "").strip()
    return (value, None) if value else (None, name)


def _names(settings: ProviderSettings, environment: Mapping[str, str]) -> tuple[str, ...]:
    """The variables of the credentials that are there, in the order in which they are declared."""
    keys = [key for key in (settings.api_key, *settings.api_keys) if key is not None]
    there = [key.removeprefix("env:") for key in keys if resolve_secret(key, environment)[1] is None]
    return tuple(there) or ("",)


def _headers(endpoint: Endpoint, credential: str | None) -> bytes:
    lines = [
        f"host: {endpoint.authority}",
        "content-type: application/json",
        "accept: application/json, text/event-stream",
        # What the provider sends is what the app gets: nothing is unpacked and packed again on the way.
        "accept-encoding: identity",
        "user-agent: ratchet",
    ]
    if credential is not None:
        lines.append(credential)
    return "\r\n".join(lines).encode("latin-1") + b"\r\n"
