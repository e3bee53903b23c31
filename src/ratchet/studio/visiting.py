"""How a handler gets its `Visit`: FastAPI resolves this dependency after the gate has admitted the request."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from ratchet.studio.services import Visit

__all__ = ["Asked", "visit"]


async def visit(request: Request) -> Visit:
    """The admitted request with the services the application was built from."""
    return Visit(
        request=request, services=request.app.state.services, signed_in=getattr(request.state, "member", None)
    )


Asked = Annotated[Visit, Depends(visit)]
