"""The error tree, drawn by who is at fault.

    RatchetError
    ├── CallerError              the caller's mistake: nothing will change until the request does
    │   ├── InvalidRequest       400  the body or a parameter is wrong
    │   ├── Unauthenticated      401  no key, or one we don't know
    │   ├── NotFound             404  the named thing doesn't exist
    │   ├── MethodNotAllowed     405
    │   ├── Conflict             409  the name is taken, or the state has moved on
    │   ├── BodyTooLarge         413
    │   └── WrongContentType     415
    ├── Refused                  refused by policy: the request is well-formed and not allowed
    │   ├── Forbidden            403
    │   ├── BudgetExhausted      402  the money for this is spent; clients don't ask again by themselves
    │   └── RateLimited          429  too much for now; `retry_after` says when there is room again
    ├── UpstreamError            the provider's failure
    │   ├── UpstreamRefused      its  the provider turned the request down: the app's mistake, or it must wait
    │   ├── UpstreamUnavailable  503  no target may be asked just now: `retry_after` says when one may
    │   ├── UpstreamFailed       502  unreachable, broken answer, or our credential was turned down
    │   └── UpstreamTimeout      504
    └── ServerError              ours
        ├── Unavailable          503  a store or the disk can't take this now; try again
        ├── Misconfigured        500  `ratchet.toml` or the environment says something impossible
        └── Bug                  500

Every error has a stable `code` (for programs), an HTTP `status`, a `message` saying what happened to which
named thing, and a `remedy` saying what to do about it. How an error looks on the wire is the dialect's concern.
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "BodyTooLarge",
    "BudgetExhausted",
    "Bug",
    "CallerError",
    "Conflict",
    "Forbidden",
    "InvalidRequest",
    "MethodNotAllowed",
    "Misconfigured",
    "NotFound",
    "RatchetError",
    "RateLimited",
    "Refused",
    "ServerError",
    "Unauthenticated",
    "Unavailable",
    "UpstreamError",
    "UpstreamFailed",
    "UpstreamRefused",
    "UpstreamTimeout",
    "UpstreamUnavailable",
    "WrongContentType",
    "reason_of",
]


class RatchetError(Exception):
    """What happened (`message`) and what to do about it (`remedy`)."""

    code: ClassVar[str] = "error"
    status: int = 500
    title: ClassVar[str] = "Error"
    retry_after: float | None = None  # seconds until the same request may go through, where that is known

    def __init__(
        self, message: str, remedy: str, *, code: str | None = None, param: str | None = None
    ) -> None:
        """`code` overrides the class's own where one class covers several causes; `param` names a body field."""
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.param = param
        self.reason = code or self.code

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class CallerError(RatchetError):
    """The caller's mistake."""


class InvalidRequest(CallerError):
    code, status, title = "invalid_request", 400, "Invalid request"


class Unauthenticated(CallerError):
    code, status, title = "invalid_api_key", 401, "Not signed in"


class NotFound(CallerError):
    code, status, title = "not_found", 404, "Not found"


class MethodNotAllowed(CallerError):
    code, status, title = "method_not_allowed", 405, "Method not allowed"


class Conflict(CallerError):
    code, status, title = "conflict", 409, "Conflict"


class BodyTooLarge(CallerError):
    code, status, title = "request_too_large", 413, "Body too large"


class WrongContentType(CallerError):
    code, status, title = "unsupported_media_type", 415, "Wrong content type"


class Refused(RatchetError):
    """Well-formed, and refused by policy."""


class Forbidden(Refused):
    code, status, title = "permission_denied", 403, "Not allowed"


class BudgetExhausted(Refused):
    code, status, title = "budget_exhausted", 402, "Budget exhausted"


class RateLimited(Refused):
    code, status, title = "rate_limited", 429, "Rate limited"

    def __init__(
        self,
        message: str,
        remedy: str,
        *,
        retry_after: float,
        code: str | None = None,
        param: str | None = None,
    ) -> None:
        """`retry_after`: seconds until there is room again."""
        super().__init__(message, remedy, code=code, param=param)
        self.retry_after = retry_after


class UpstreamError(RatchetError):
    """The provider's failure."""


class UpstreamRefused(UpstreamError):
    """The provider's own refusal, for the app to see as it is: `body` is what the provider said, if it can be shown."""

    code, title = "upstream_refused", "Upstream refused"

    def __init__(
        self, message: str, remedy: str, *, status: int, body: bytes = b"", code: str | None = None
    ) -> None:
        super().__init__(message, remedy, code=code)
        self.status = status
        self.body = body


class UpstreamFailed(UpstreamError):
    code, status, title = "upstream_failed", 502, "Upstream failed"


class UpstreamUnavailable(UpstreamError):
    code, status, title = "upstream_unavailable", 503, "Upstream unavailable"


class UpstreamTimeout(UpstreamError):
    code, status, title = "upstream_timeout", 504, "Upstream timed out"


class ServerError(RatchetError):
    """Ours."""


class Unavailable(ServerError):
    code, status, title = "unavailable", 503, "Unavailable"


class Misconfigured(ServerError):
    code, status, title = "misconfigured", 500, "Misconfigured"


class Bug(ServerError):
    code, status, title = "internal_error", 500, "Internal error"


def reason_of(error: Exception) -> str:
    """Why a request to somewhere else failed, in a few words.

    The HTTP client's own are "connection error"; the last of the causes in its `details` says what happened.
    """
    details: Any = getattr(error, "details", None) or {}
    causes: list[Any] = details.get("causes") or []
    said: object = causes[-1]["message"] if causes else getattr(error, "message", None) or error
    return str(said).split("\n", 1)[0].strip().removesuffix(".") or type(error).__name__
