"""OpenAI embeddings."""

from __future__ import annotations

from collections.abc import Collection

from ratchet.dialects.dialect import Dialect
from ratchet.dialects.openai_chat.head import error_body, error_event, error_message
from ratchet.dialects.openai_embeddings.head import answer_head, request_head
from ratchet.dialects.openai_embeddings.naming import check_request, field_name
from ratchet.dialects.openai_embeddings.vectors import (
    NAME,
    read_answer,
    read_request,
    write_answer,
    write_request,
)
from ratchet.dialects.rewriting import rewrite
from ratchet.dialects.unstreamed import never_streamed

__all__ = ["DIALECT"]


def _rewrite(body: bytes, model: str, drop: Collection[str], _ask_usage: bool) -> bytes:  # noqa: FBT001 - Dialect's shape
    return rewrite(body, model=model, drop=drop)


DIALECT = Dialect(
    name=NAME,
    operation="embeddings",
    request_head=request_head,
    answer_head=answer_head,
    stream_head=never_streamed,
    rewrite=_rewrite,
    error_body=error_body,
    error_event=error_event,
    error_message=error_message,
    read_request=read_request,
    write_request=write_request,
    read_answer=read_answer,
    write_answer=write_answer,
    stream_reader=never_streamed,
    stream_writer=never_streamed,
    check_request=check_request,
    field_name=field_name,
)
