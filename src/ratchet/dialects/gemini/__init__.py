"""Google Gemini's generateContent, and streamGenerateContent with server-sent events."""

from __future__ import annotations

from ratchet.dialects.dialect import Dialect
from ratchet.dialects.gemini.answer import read_answer, write_answer
from ratchet.dialects.gemini.head import (
    StreamHead,
    answer_head,
    error_body,
    error_event,
    error_message,
    model_of_path,
    path,
    request_head,
    retry_after,
    rewrite_request,
)
from ratchet.dialects.gemini.request import read_request, write_request
from ratchet.dialects.gemini.stream import StreamReader, StreamWriter
from ratchet.dialects.gemini.vocabulary import NAME

__all__ = ["DIALECT", "model_of_path", "path"]

DIALECT = Dialect(
    name=NAME,
    operation="generate_content",
    request_head=request_head,
    answer_head=answer_head,
    stream_head=StreamHead,
    rewrite=rewrite_request,
    error_body=error_body,
    error_event=error_event,
    error_message=error_message,
    retry_after=retry_after,
    read_request=read_request,
    write_request=write_request,
    read_answer=read_answer,
    write_answer=write_answer,
    stream_reader=StreamReader,
    stream_writer=StreamWriter,
)
