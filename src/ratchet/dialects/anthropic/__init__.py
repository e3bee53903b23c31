"""Anthropic's messages: what it is to the gateway, as one value."""

from __future__ import annotations

from ratchet.dialects.anthropic.answer import read_answer, write_answer
from ratchet.dialects.anthropic.errors import error_body, error_event, error_message
from ratchet.dialects.anthropic.head import StreamHead, answer_head, request_head
from ratchet.dialects.anthropic.naming import check_request, field_name
from ratchet.dialects.anthropic.reading import read_request
from ratchet.dialects.anthropic.rewrite import rewrite_request
from ratchet.dialects.anthropic.stream_reader import StreamReader
from ratchet.dialects.anthropic.stream_writer import StreamWriter
from ratchet.dialects.anthropic.writing import write_request
from ratchet.dialects.dialect import Dialect
from ratchet.dialects.prefixing import prefix_anthropic

__all__ = ["DIALECT"]

DIALECT = Dialect(
    name="anthropic",
    operation="chat",
    request_head=request_head,
    answer_head=answer_head,
    stream_head=StreamHead,
    rewrite=rewrite_request,
    error_body=error_body,
    error_event=error_event,
    error_message=error_message,
    read_request=read_request,
    write_request=write_request,
    read_answer=read_answer,
    write_answer=write_answer,
    stream_reader=StreamReader,
    stream_writer=StreamWriter,
    check_request=check_request,
    field_name=field_name,
    put_prompt=prefix_anthropic,
)
