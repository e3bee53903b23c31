"""The example workflow does what it says: its own commands, run here, for each answer of the gate."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from ratchet.evals.markdown_report import _code, _plain

WORKFLOW = Path(__file__).parent.parent / "docs" / "examples" / "github-actions.yml"
BOTS = """
app_version = "1"
def good(text): return text.upper()
def bad(text): return "no"
"""


def steps() -> dict[str, Any]:
    found = yaml.safe_load(WORKFLOW.read_text())
    assert found[True] == "pull_request", "YAML reads `on` as true"
    (job,) = found["jobs"].values()
    return {step.get("name", step.get("uses")): step for step in job["steps"]}


class Runner:
    """Runs steps as GitHub does: bash, one folder, outputs in a file. `gh` writes down how it is called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        tools = folder / "tools"
        tools.mkdir()
        (tools / "ratchet").write_text(f'#!/bin/sh\nexec {sys.executable} -m ratchet "$@"\n')
        (tools / "gh").write_text('#!/bin/sh\necho "$@" > gh-called.txt\n')
        for tool in tools.iterdir():
            tool.chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{tools}:{os.environ['PATH']}",
            "GITHUB_OUTPUT": str(folder / "output"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary"),
            "PULL_REQUEST": "7",
        }

    def run(self, step: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-e", "-c", steps()[step]["run"]],
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def all(self, **environment: str) -> tuple[str, subprocess.CompletedProcess[str]]:
        """The comment, and how the deciding step ended."""
        for step in ("Ask the gate", "Compare", "Comment"):
            done = self.run(step)
            assert done.returncode == 0, done.stdout + done.stderr
        code = (self.folder / "output").read_text().strip().removeprefix("code=")
        return (self.folder / "comment.md").read_text(), self.run("Decide", CODE=code, **environment)

    def suite(self, candidate: str, cases: int) -> None:
        rows = [{"input": f"say {at}", "reference": f"SAY {at}"} for at in range(cases)]
        (self.folder / "cases.jsonl").write_text("\n".join(map(json.dumps, rows)))
        (self.folder / "workflow_bots.py").write_text(BOTS)
        (self.folder / "suite.yaml").write_text(
            "dataset: cases.jsonl\nscorers: [exact]\ngate: {scorer: exact, epsilon: 0.2}\n"
            f"candidates: ['python:workflow_bots:good', {candidate}]\n"
        )


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def test_pass(runner: Runner) -> None:
    runner.suite("{name: new, python: 'workflow_bots:good'}", 60)
    comment, decided = runner.all()
    assert (decided.returncode, "PASS" in decided.stdout) == (0, True)
    assert comment.startswith("```\nPASS: new in place of python:workflow_bots:good")
    assert "| exact | 1 | 1 | 0 |" in comment
    assert (runner.folder / "summary").read_text() == comment
    called = (runner.folder / "gh-called.txt").read_text().split()
    assert called[:3] == ["pr", "comment", "7"]
    assert ElementTree.parse(runner.folder / "junit.xml").getroot().tag == "testsuites"
    assert "<html" in (runner.folder / "report.html").read_text()


def test_fail(runner: Runner) -> None:
    runner.suite("'python:workflow_bots:bad'", 60)
    comment, decided = runner.all()
    assert (decided.returncode, "::error title=ratchet::FAIL: exact" in decided.stdout) == (1, True)
    assert "🔴 worse" in comment
    assert "60 cases worse" in comment
    assert comment.count("1 before, 0 now") == 10
    assert "… and 50 more" in comment


def test_can_not_tell(runner: Runner) -> None:
    runner.suite("{name: new, python: 'workflow_bots:good'}", 2)
    _, decided = runner.all()
    assert (decided.returncode, "::error title=ratchet::CAN'T TELL" in decided.stdout) == (1, True)
    allowed = runner.run("Decide", CODE="2", ALLOW_CANT_TELL="true")
    assert (allowed.returncode, "::warning title=ratchet::CAN'T TELL" in allowed.stdout) == (0, True)


def test_a_suite_that_can_not_be_run_is_no_pass(runner: Runner) -> None:
    (runner.folder / "suite.yaml").write_text(
        "dataset: nowhere.jsonl\ncandidates: [a/b, c/d]\ngate: {scorer: x}\n"
    )
    comment, decided = runner.all()
    assert decided.returncode == 1
    assert "nowhere.jsonl" in comment
    assert "There is no comparison" in comment


def test_what_is_named_is_text_in_markdown() -> None:
    assert _plain("<b>a|b [x](y) @team\n# h") == "\\<b\\>a\\|b \\[x\\]\\(y\\) @\u200bteam \\# h"
    assert _code("a`b|c\nd") == "`aˋb¦c d`"
