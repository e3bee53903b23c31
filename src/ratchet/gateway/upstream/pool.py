"""Connections to one provider: kept open between requests, made when there is none to spare."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import ssl
import time
import urllib.request
from collections import deque
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

import certifi

from ratchet.addresses import Guard, PrivateAddress
from ratchet.errors import Misconfigured
from ratchet.gateway.upstream.connection import Answer, Connection, ConnectionBroken

__all__ = ["DEFAULT_LONGEST", "Endpoint", "NotAllowed", "Pool", "Unreachable"]

DEFAULT_LONGEST = 256 << 20  # bytes: more than 2,048 texts make as vectors of 3,072 numbers in JSON
_MOST_IDLE = 1024


class Unreachable(Exception):
    """No connection could be made."""


class NotAllowed(Unreachable):
    """No connection may be made: the address is a private one."""


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a provider listens, and the proxy in front of it, if any."""

    host: str
    port: int
    tls: bool
    path: str
    proxy: tuple[str, int] | None

    @classmethod
    def of(cls, url: str, proxies: Mapping[str, str] | None = None) -> Endpoint:
        """From an `http` or `https` address; `proxies` as the environment names them (`https_proxy`, `no_proxy`)."""
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        host = parts.hostname or ""
        return cls(host, parts.port or (443 if tls else 80), tls, parts.path, _proxy_for(parts, proxies))

    @property
    def authority(self) -> str:
        """What the Host header says."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == (443 if self.tls else 80) else f"{name}:{self.port}"


class Pool:
    """Sends requests to one endpoint. Belongs to one event loop."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        guard: Guard | None = None,
        longest: int = DEFAULT_LONGEST,
    ) -> None:
        """`longest` is how many bytes an answer may have. `guard` says which addresses may be connected to; None leaves that to whoever named the endpoint.

        Through a proxy, it is the proxy that resolves and connects: then the guard judges what this machine knows.
        """
        self.endpoint = endpoint
        self._guard = guard
        self._longest = longest
        self._idle: deque[Connection] = deque()
        self._tls = tls_context() if endpoint.tls else None
        self._closed = False

    async def request(
        self, payload: bytes, due_in: float, connect_in: float = 5.0, secret: bytes = b""
    ) -> Answer:
        """Send `payload` and return the answer once its head is there; the whole is due in `due_in` seconds, and a
        new connection, which is part of it, in `connect_in`. `secret` is taken out of what comes back.

        Raises Unreachable or ConnectionBroken. Cancelling closes the connection.
        """
        while True:
            connection = self._take()
            if connection is None:
                began = time.monotonic()
                connection = await self._connect(min(connect_in, due_in))
                due_in = max(due_in - (time.monotonic() - began), 0.001)
            answer = connection.send(payload, due_in, secret)
            try:
                await answer.head()
            except ConnectionBroken:
                if connection.died_idle():
                    continue
                raise
            except BaseException:
                answer.close()
                raise
            return answer

    def close(self) -> None:
        """Close what is idle; what is at work finishes first."""
        self._closed = True
        while self._idle:
            self._idle.pop().hang_up()

    def _take(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()  # the one used last is the least likely to have been closed
            if not connection.lost:
                return connection
        return None

    def _fresh(self) -> Connection:
        return Connection(self._release, self._longest)

    def _release(self, connection: Connection) -> None:
        if self._closed or len(self._idle) >= _MOST_IDLE:
            connection.hang_up()
        else:
            self._idle.append(connection)

    async def _connect(self, within: float) -> Connection:
        try:
            async with asyncio.timeout(within):
                return await self._connected()
        except TimeoutError as error:
            raise Unreachable(f"no connection within {within:.3g} s") from error
        except ssl.SSLCertVerificationError as error:
            raise Unreachable(f"its certificate is not trusted: {error.verify_message}") from error
        except PrivateAddress as error:
            raise NotAllowed(str(error)) from error
        except OSError as error:
            raise Unreachable(error.strerror or str(error) or type(error).__name__) from error

    async def _connected(self) -> Connection:
        loop = asyncio.get_running_loop()
        endpoint = self.endpoint
        if endpoint.proxy is None:
            if self._guard is None:
                return await self._direct(endpoint.host)
            return await self._first_of(await self._guard.addresses(endpoint.host, endpoint.port))
        if self._guard is not None:
            await self._guard_proxied(self._guard)
        tunnel, _ = await loop.create_connection(_Tunnel, *endpoint.proxy)
        protocol: _Tunnel = tunnel.get_protocol()  # type: ignore[assignment]  # the one just made
        await protocol.open(endpoint.host, endpoint.port)
        connection = self._fresh()
        if self._tls is None:
            tunnel.set_protocol(connection)
            connection.connection_made(tunnel)
            return connection
        secure = await loop.start_tls(tunnel, connection, self._tls, server_hostname=endpoint.host)
        if secure is None:
            raise ConnectionError("the proxy closed the connection")
        connection.connection_made(secure)
        return connection

    async def _direct(self, host: str) -> Connection:
        """To `host`, which may be an address of the endpoint's; the certificate has to be the endpoint's."""
        endpoint = self.endpoint
        _, connection = await asyncio.get_running_loop().create_connection(
            self._fresh,
            host,
            endpoint.port,
            ssl=self._tls,
            server_hostname=endpoint.host if self._tls else None,
        )
        return connection

    async def _first_of(self, addresses: list[str]) -> Connection:
        """To the first of `addresses` that answers."""
        for address in addresses[:-1]:
            with contextlib.suppress(OSError):
                return await self._direct(address)
        return await self._direct(addresses[-1])

    async def _guard_proxied(self, guard: Guard) -> None:
        try:
            await guard.addresses(self.endpoint.host, self.endpoint.port)
        except PrivateAddress:
            raise
        except OSError:
            return  # a name that only the proxy can resolve


class _Tunnel(asyncio.Protocol):
    """Asks a proxy for a connection to the provider (RFC 9110, section 9.3.6)."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream transport is all that is ever asked for

    def data_received(self, data: bytes) -> None:
        self._received += data
        if b"\r\n\r\n" in self._received and not self._answer.done():
            self._answer.set_result(self._received)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the proxy closed the connection"))

    async def open(self, host: str, port: int) -> None:
        assert self._transport is not None  # noqa: S101 - connected by now
        where = f"{host}:{port}".encode()
        self._transport.write(b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (where, where))
        line = (await self._answer).split(b"\r\n", 1)[0].split(b" ")
        if len(line) < 2 or line[1] != b"200":
            self._transport.abort()
            raise ConnectionError(
                f"the proxy answered {line[1].decode('latin-1') if len(line) > 1 else 'nonsense'}"
            )


def tls_context() -> ssl.SSLContext:
    """The system's certificates and certifi's: a bare container has none of its own."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context


def _proxy_for(url: SplitResult, proxies: Mapping[str, str] | None) -> tuple[str, int] | None:
    chosen = dict(urllib.request.getproxies_environment()) if proxies is None else dict(proxies)
    address = chosen.get(url.scheme) or chosen.get("all")
    if not address or _bypassed(url.hostname or "", chosen.get("no", "")):
        return None
    parts = urlsplit(address if "://" in address else f"http://{address}")
    if parts.scheme != "http" or parts.username:
        raise Misconfigured(
            f"The proxy for {url.scheme} addresses is of the kind {parts.scheme!r}"
            + (" and asks for a password." if parts.username else "."),
            "The gateway goes through plain HTTP proxies only: set another, or name the host in no_proxy.",
        )
    return (parts.hostname, parts.port or 3128) if parts.hostname else None


def _bypassed(host: str, exceptions: str) -> bool:
    """Whether `no_proxy` names this host or a domain it is in."""
    names = [name.strip().lstrip(".").lower() for name in exceptions.split(",") if name.strip()]
    return any(name in ("*", host) or host.endswith(f".{name}") for name in names)
