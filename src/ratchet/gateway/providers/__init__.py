"""Upstream accounts. They know a wire format and nothing of policy."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

from ratchet.catalog.prices import vendor_of
from ratchet.errors import UpstreamFailed
from ratchet.gateway.connection import Answer
from ratchet.gateway.pool import Endpoint, Pool
from ratchet.gateway.settings import ProviderSettings

__all__ = ["Provider", "ProviderPool", "resolve_secret"]

_DEFAULT_BASE = {"openai": "https://api.openai.com/v1"}


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Provider:
    """An upstream account, ready to be called. `head` is a request's first lines, credential and all."""

    name: str
    kind: str
    base_url: str
    vendor: str  # whose price list it follows
    label: str  # gen_ai.provider.name
    pool: Pool
    head: bytes
    timeout: float  # seconds, for a whole answer
    missing_secret: str | None  # the variable that should hold its key and does not
    drop_fields: frozenset[str]
    ask_stream_usage: bool

    async def chat(self, body: bytes, extra: bytes = b"") -> Answer:
        """Ask for a chat completion. `extra` is more header lines. Raises Unreachable or ConnectionBroken."""
        return await self.pool.request(
            b"%bcontent-length: %d\r\n%b\r\n%b" % (self.head, len(body), extra, body), self.timeout
        )

    def check_credential(self) -> None:
        """Raises UpstreamFailed where the provider's key is not in the environment."""
        if self.missing_secret is not None:
            raise UpstreamFailed(
                f"The provider {self.name!r} has no key: the variable {self.missing_secret} is not set.",
                f"Set {self.missing_secret} in the gateway's environment and restart it.",
                code="upstream_credentials",
            )


class ProviderPool:
    """Makes providers from settings and keeps their connections while the settings stay the same."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        self._built: dict[str, tuple[ProviderSettings, str, Provider]] = {}

    def build(self, settings: Mapping[str, ProviderSettings], *, simulator_url: str) -> dict[str, Provider]:
        """A provider for each of `settings`. Unchanged ones are the same objects as before.

        `simulator_url` is where the built-in simulator listens, for those of that kind with no address of their own.
        Providers that were dropped are left to finish what they are doing.
        """
        built: dict[str, tuple[ProviderSettings, str, Provider]] = {}
        for name, chosen in settings.items():
            base_url = str(chosen.base_url or "") or _DEFAULT_BASE.get(chosen.kind, simulator_url)
            before = self._built.get(name)
            if before is not None and before[:2] == (chosen, base_url):
                built[name] = before
            else:
                built[name] = (chosen, base_url, self._provider(name, chosen, base_url.rstrip("/")))
        kept = {id(entry[2]) for entry in built.values()}
        for _, _, provider in self._built.values():
            if id(provider) not in kept:
                provider.pool.close()
        self._built = built
        return {name: entry[2] for name, entry in built.items()}

    def _provider(self, name: str, settings: ProviderSettings, base_url: str) -> Provider:
        secret, missing = resolve_secret(settings.api_key, self._environment)
        vendor = vendor_of(settings.kind, str(settings.base_url or ""), name)
        compatible = settings.kind == "openai" and settings.base_url is not None
        endpoint = Endpoint.of(base_url)
        return Provider(
            name=name,
            kind=settings.kind,
            base_url=base_url,
            vendor=vendor,
            label=name if compatible else settings.kind,
            pool=Pool(endpoint, connect_timeout=settings.connect_timeout),
            head=_head(endpoint, secret),
            timeout=settings.timeout,
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


def _head(endpoint: Endpoint, secret: str | None) -> bytes:
    lines = [
        f"POST {endpoint.path}/chat/completions HTTP/1.1",
        f"host: {endpoint.authority}",
        "content-type: application/json",
        "accept: application/json, text/event-stream",
        # What the provider sends is what the app gets: nothing is unpacked and packed again on the way.
        "accept-encoding: identity",
        "user-agent: ratchet",
    ]
    if secret is not None:
        lines.append(f"authorization: Bearer {secret}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n"
