"""What a span store holds, read from a process of its own: `python -m bench.store_rows DSN`.

An embedded store belongs to one process at a time, and stays with the process that opened it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import clickhouse_connect
import msgspec

from bench.processes import BenchError

__all__ = ["Held", "embedded", "read_store"]

_ROOT = Path(__file__).resolve().parent.parent


class Held(msgspec.Struct, frozen=True):
    """Rows of the spans table, how many different spans they are, and how often each trace of a gateway call occurs."""

    rows: int
    spans: int
    calls: dict[str, int]


def embedded(data: Path) -> str:
    """The address of the embedded store in a data directory."""
    return f"chdb://{(data / 'spans').absolute()}"


def read_store(dsn: str) -> Held:
    """Read it. Raises BenchError with what went wrong, for instance that a studio still has it open."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.store_rows", dsn], capture_output=True, cwd=_ROOT, check=False
    )
    if done.returncode:
        raise BenchError(f"{dsn} could not be read:\n{done.stderr.decode(errors='replace')[-2000:]}")
    return msgspec.json.decode(done.stdout, type=Held)


def _read(dsn: str) -> Held:
    path = urlsplit(dsn).path
    client = clickhouse_connect.get_client(
        dsn=dsn, **({"path": path, "database": "ratchet"} if dsn.startswith("chdb:") else {})
    )
    rows, spans = client.query("SELECT count(), uniqExact(trace_id, span_id) FROM spans").result_rows[0]
    calls = client.query(
        "SELECT trace_id, count() FROM spans WHERE source = 'gateway' AND model_call GROUP BY trace_id"
    ).result_rows
    client.close()
    return Held(rows, spans, {str(trace): int(count) for trace, count in calls})


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(_read(sys.argv[1])))
