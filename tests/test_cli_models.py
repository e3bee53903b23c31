"""`ratchet model`, as people type it: in this process and through a running studio."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ratchet.catalog.models import FACTS
from ratchet.cli import app
from test_cli import Served, as_json, ratchet, served

__all__ = ["served"]  # fixtures

CSV = """model,benchmark,score,date,source
microsoft/phi-4,MMLU,0.848,2025-01,HELM
phi-5,MMLU,0.9,2026,HELM
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RATCHET_DATA_DIR", str(tmp_path / "data"))
    return tmp_path


def typed(*words: str, code: int = 0) -> str:
    """What a command prints in this process: starting another takes seconds."""
    done = CliRunner().invoke(app, ["model", *words])
    assert done.exit_code == code, done.output
    return done.output


def test_a_filtered_list_is_sorted_and_shows_where_sources_differ(folder: Path) -> None:
    lines = typed("list", "--provider", "Mistral AI", "--sort", "output_price", "--order", "asc").splitlines()
    assert [line.split()[0] for line in lines] == [
        "name", "mistral-small-2603", "mistral-large-4", "mistral-medium-3-5",
        "Mistral-Small-3.1-24B-Instruct-2503", "Mixtral-8x7B-Instruct-v0.1",
    ]  # fmt: skip
    assert "$0.7 / $2.1 ≠" in lines[2]
    assert "No model is known" in typed("list", "--query", "nobody's")


def test_one_model_with_its_sources_under_a_name_of_somebody_elses(folder: Path) -> None:
    said = typed("show", "azure/GPT-4o mini (2024-07-18)")
    assert said.startswith("gpt-4o-mini-2024-07-18\n")
    assert all(f"\n{name} " in said for name in FACTS)
    assert "128,000" in said
    assert "2026-11  litellm price map 1.109.1" in said
    whole = json.loads(typed("show", "gpt-4o-mini", "--json"))
    assert whole["known"]["model"]["context_tokens"]["value"] == 128_000


def test_a_recommendation_says_why_not(folder: Path) -> None:
    said = typed(
        "recommend", "--context", "200000", "--commercial", "--modality", "image", "--modality", "video"
    )
    assert "may fit: check" in said
    assert "    context 128,000 < 200,000 (litellm price map 1.109.1, 2026-11)" in said
    traffic = ("--requests", "100000", "--input-tokens", "1200", "--answer-tokens", "300")
    assert "gpt-6-luna  $27.00 a month" in typed("recommend", "--monthly-usd", "30", *traffic)
    found = json.loads(typed("recommend", "--output", "8000", "--known-only", "--json"))
    assert {each["verdict"] for each in found["judgements"]} == {"fits", "fails"}


def test_stars_and_scores_are_kept(folder: Path) -> None:
    (folder / "scores.csv").write_text(CSV)
    assert typed("star", "microsoft/phi-4", "4", "--comment", "good") == "phi-4: ★★★★\n"
    said = typed("import-scores", "scores.csv")
    assert "kept                   1" in said
    assert "phi-5  1       phi-4" in said
    shown = typed("show", "phi-4")
    assert "★★★★   local  good" in shown
    assert "MMLU       0.848  HELM, 2025-01" in shown
    assert "taken back" in typed("star", "phi-4", "0")
    assert json.loads(typed("show", "phi-4", "--json"))["stars"] == []


def test_the_same_through_a_running_studio(served: Served) -> None:
    folder = served.folder
    assert "phi-4: ★★★" in ratchet(folder, "model", "star", "microsoft/phi-4", "3")
    assert as_json(folder, "model", "show", "microsoft/phi-4")["stars"][0]["stars"] == 3
    refused = ratchet(folder, "model", "show", "phi4", code=1)
    assert "The catalogue has no model 'phi4'." in refused
    assert "Did you mean phi-4?" in refused
    (folder / "scores.csv").write_text("model,score\n")
    assert "no column benchmark" in ratchet(folder, "model", "import-scores", "scores.csv", code=1)
