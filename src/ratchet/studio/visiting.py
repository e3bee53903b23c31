"""How a handler gets its `Visit`: FastAPI resolves this dependency after the gate has admitted the request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends
from pydantic import Field
from starlette.requests import Request

from ratchet.domain.expiry import LATEST
from ratchet.studio.services import Visit

__all__ = ["Asked", "Moment", "Typed", "typed_fields", "visit"]


async def visit(request: Request) -> Visit:
    """The admitted request with the services the application was built from."""
    return Visit(
        request=request, services=request.app.state.services, signed_in=getattr(request.state, "member", None)
    )


Asked = Annotated[Visit, Depends(visit)]

Moment = Annotated[int, Field(ge=0, le=LATEST)]
"""In a body: nanoseconds since the epoch, as far as they can be kept."""


async def typed_fields(request: Request) -> Mapping[str, list[str]]:
    """What a form sent, whatever its fields: for forms that are made from a settings model."""
    found: dict[str, list[str]] = {}
    for name, value in (await request.form()).multi_items():
        if isinstance(value, str):
            found.setdefault(name, []).append(value.replace("\r\n", "\n"))
    return found


Typed = Annotated[Mapping[str, list[str]], Depends(typed_fields)]
