"""OpenAI responses."""

from __future__ import annotations

from ratchet.dialects.dialect import Dialect
from ratchet.dialects.openai_responses.answer import read_answer, write_answer
from ratchet.dialects.openai_responses.asking import write_request
from ratchet.dialects.openai_responses.head import (
    StreamHead,
    answer_head,
    error_body,
    error_event,
    error_message,
    request_head,
)
from ratchet.dialects.openai_responses.naming import check_request, field_name
from ratchet.dialects.openai_responses.request import read_request
from ratchet.dialects.openai_responses.rewrite import rewrite_request
from ratchet.dialects.openai_responses.stream import StreamReader
from ratchet.dialects.openai_responses.stream_writer import StreamWriter
from ratchet.dialects.openai_responses.words import NAME
from ratchet.dialects.prefixing import prefix_responses

__all__ = ["DIALECT"]


DIALECT = Dialect(
    name=NAME,
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
    put_prompt=prefix_responses,
)
