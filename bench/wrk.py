"""wrk as the load: closed loop, keep-alive connections, one thread."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from bench.processes import BenchError

__all__ = ["Round", "load", "wrk_version"]

_SCRIPT = """\
local bodies = {{}}
for _, path in ipairs({{{paths}}}) do
  local file = assert(io.open(path, "rb"))
  bodies[#bodies + 1] = file:read("*a")
  file:close()
end
local ready, turn = {{}}, 0

function init(args)
  for index, body in ipairs(bodies) do
    ready[index] = wrk.format("POST", "{path}", {{{headers}}}, body)
  end
end

function request()
  turn = turn % #ready + 1
  return ready[turn]
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\\n{{"requests":%d,"micros":%d,"p50":%d,"p99":%d,"status":%d,"connect":%d,"read":%d,"write":%d,"timeout":%d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect, errors.read, errors.write, errors.timeout))
end
"""


class Round(msgspec.Struct, frozen=True):
    """What wrk counted. Latencies in microseconds; `status` counts answers that were 400 or more."""

    requests: int
    micros: int
    p50: int
    p99: int
    status: int
    connect: int
    read: int
    write: int
    timeout: int

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests * 1e6 / self.micros

    @property
    def errors(self) -> int:
        return self.status + self.connect + self.read + self.write + self.timeout


def load(
    folder: Path,
    *,
    port: int,
    path: str,
    headers: Mapping[str, str],
    bodies: Sequence[bytes],
    core: int,
    seconds: float,
    connections: int = 64,
) -> Round:
    """Post `bodies` in turn for `seconds` over `connections` kept open, from `core`."""
    files = []
    for index, body in enumerate(bodies):
        file = folder / f"body-{index}.bin"
        file.write_bytes(body)
        files.append(json.dumps(str(file.absolute())))
    script = folder / "load.lua"
    pairs = ", ".join(f"[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items())
    script.write_text(_SCRIPT.format(paths=", ".join(files), path=path, headers=pairs))
    wrk = shutil.which("wrk")
    if not wrk:
        raise BenchError("wrk is not installed. Install it: apt-get install -y nginx-light wrk")
    command = ["taskset", "-c", str(core), wrk, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
    command += ["--timeout", "60s", "-s", str(script), f"http://127.0.0.1:{port}{path}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
    if done.returncode or not last.startswith("{"):
        raise BenchError(f"wrk failed with {done.returncode}:\n{done.stdout}{done.stderr}")
    return msgspec.json.decode(last, type=Round)


def wrk_version() -> str:
    done = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False)
    return " ".join((done.stdout or done.stderr).split()[:2])
