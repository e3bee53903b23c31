"""Google Gemini's embeddings (batchEmbedContents)."""

from __future__ import annotations

from ratchet.dialects.dialect import Dialect
from ratchet.dialects.gemini.head import (
    StreamHead,
    error_body,
    error_event,
    error_message,
    request_head,
    retry_after,
    rewrite_request,
)
from ratchet.dialects.gemini.stream import StreamReader, StreamWriter
from ratchet.dialects.gemini_embeddings.embeddings import (
    NAME,
    answer_head,
    path,
    read_answer,
    read_request,
    write_answer,
    write_request,
)

__all__ = ["DIALECT", "path"]

DIALECT = Dialect(
    name=NAME,
    operation="embeddings",
    request_head=request_head,
    answer_head=answer_head,
    rewrite=rewrite_request,
    error_body=error_body,
    error_message=error_message,
    retry_after=retry_after,
    read_request=read_request,
    write_request=write_request,
    read_answer=read_answer,
    write_answer=write_answer,
    # Vectors are never streamed: these are generateContent's, and nobody calls them.
    error_event=error_event,
    stream_head=StreamHead,
    stream_reader=StreamReader,
    stream_writer=StreamWriter,
)
