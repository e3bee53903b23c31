"""The demo from its first line to its last, as `make demo EXIT=1` runs it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path


def ratchet(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ratchet", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_demo_ends_with_the_better_prompt_in_production(tmp_path: Path) -> None:
    said = ratchet(tmp_path, "demo", "--exit", "--users", "60")
    for line in ("requests", "feedback", "Is another prompt better?", "PASS: prompt:support#2", "studio "):
        assert line in said, said
    assert re.search(r"support@production serves #2 \(release 2\)", said)
    data = [f"--config={tmp_path}/.ratchet/demo/ratchet.toml", f"--data-dir={tmp_path}/.ratchet/demo"]
    (view,) = json.loads(ratchet(tmp_path, *data, "release", "list", "--json"))
    (run,) = json.loads(ratchet(tmp_path, *data, "run", "list", "--json"))
    assert view["release"]["split"] == [{"version": 2, "weight": 1}]
    assert view["release"]["gate_run_id"] == run["id"]
    traces = json.loads(ratchet(tmp_path, *data, "trace", "list", "--limit", "5", "--json"))
    assert len(traces) == 5
    assert run["status"] == "done"
