"""A small server that answers ClickHouse's HTTP interface out of chDB, to test the `clickhouse://` path.

    python tests/clickhouse_server.py FOLDER [PORT]

It runs in a process of its own (one process can open one chDB folder) and prints the port that it listens on. It
knows what a client of this project uses: queries with parameters and settings, inserts in Native format, compressed
request bodies, errors with their code. Authentication and the rest of ClickHouse's interface are left out.
"""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

FORMAT = re.compile(rb"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
INSERT = re.compile(rb"\s*INSERT INTO .*? FORMAT (\w+)\n", re.IGNORECASE | re.DOTALL)
# What the HTTP interface keeps to itself; everything else in the address is a setting.
TRANSPORT = {
    "buffer_size", "client_protocol_version", "compress", "database", "decompress", "enable_http_compression",
    "http_headers_progress_interval_ms", "query", "query_id", "quota_key", "role", "send_progress_in_http_headers",
    "session_check", "session_id", "session_timeout", "wait_end_of_query",
}  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer(200, b"Ok.\n")

    def do_POST(self) -> None:
        asked = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        try:
            body = self.body()
            shape, answer = self.run(asked.pop("query", "").encode(), body, asked)
        except (RuntimeError, OSError) as error:
            code = re.search(r"Code: (\d+)", str(error))
            self.answer(500, str(error).encode(), {"X-ClickHouse-Exception-Code": code[1] if code else "1"})
        else:
            self.answer(200, answer, {"X-ClickHouse-Format": shape} if shape else {})

    def run(self, query: bytes, body: bytes, asked: dict[str, str]) -> tuple[str, bytes]:
        if query and body:
            query, body = query + b"\n" + body, b""
        query = query or body
        parameters = {name[6:]: value for name, value in asked.items() if name.startswith("param_")}
        connection = self.server.connect()
        try:
            if database := asked.get("database"):
                connection.query(f"USE `{database}`")
            for name, value in asked.items():
                if name not in TRANSPORT and not name.startswith("param_"):
                    connection.query(f"SET {name} = '{value}'")
            if insert := INSERT.match(query):
                return "", self.insert(connection, query, insert)
            shape = FORMAT.search(query)
            result = connection.query(query.decode(), "TabSeparated", params=parameters)
            rows = result.bytes() or b""
            if shape:
                return shape[1].decode(), rows
            reads = query.lstrip()[:6].upper() in (b"SELECT", b"SHOW T", b"DESCRI", b"EXISTS")
            return "TabSeparated" if reads else "", rows
        finally:
            connection.close()

    def insert(self, connection: object, query: bytes, insert: re.Match[bytes]) -> bytes:
        with tempfile.NamedTemporaryFile(suffix=".native") as file:
            file.write(query[insert.end() :])
            file.flush()
            into = query[: insert.start(1)].decode().rpartition(" FORMAT ")[0]
            connection.query(f"{into} FROM INFILE '{file.name}' FORMAT {insert[1].decode()}")
        return b""

    def body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            data = b"".join(parts)
        else:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return self.server.unpack(data, self.headers.get("Content-Encoding", ""))

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("X-ClickHouse-Timezone", "UTC")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def _every_lz4_frame(data: bytes) -> bytes:
    """The driver compresses each block of an insert as a frame of its own; `lz4.frame.decompress` reads only one."""
    import lz4.frame

    blocks = []
    while data:
        frame = lz4.frame.LZ4FrameDecompressor()
        blocks.append(frame.decompress(data))
        data = frame.unused_data or b""
    return b"".join(blocks)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder: str, port: int) -> None:
        import chdb

        self.folder = folder
        self.chdb = chdb
        self.kept = chdb.connect(folder)  # the engine stays while a connection does
        self.unpackers = {"": bytes, "gzip": gzip.decompress, "lz4": _every_lz4_frame}
        super().__init__(("127.0.0.1", port), Handler)

    def connect(self) -> object:
        return self.chdb.connect(self.folder)

    def unpack(self, data: bytes, encoding: str) -> bytes:
        return self.unpackers[encoding](data)


@contextmanager
def clickhouse_server(folder: Path, port: int = 0) -> Generator[int]:
    """The port of a server in another process, which is killed when the block ends."""
    process = subprocess.Popen(
        [sys.executable, __file__, str(folder), str(port)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def main() -> None:
    server = Server(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    parent = os.getppid()
    while os.getppid() == parent:  # ends with whoever started it
        threading.Event().wait(0.5)


if __name__ == "__main__":
    main()
