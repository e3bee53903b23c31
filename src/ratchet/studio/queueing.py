"""Beginning a run from the studio: what may run there, and the record that a process of its own then takes up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import yaml

from ratchet.domain.runs import QUEUED, Run
from ratchet.errors import InvalidRequest, Unavailable
from ratchet.evals.suite import Suite, suite_of
from ratchet.store.records.datasets import checked_version, dataset_named
from ratchet.store.records.runs import add_run, new_run_id
from ratchet.studio.services import Visit

__all__ = ["queue_run", "suite_of_form"]


def queue_run(asked: Visit, suite: Suite, *, cache: bool = True) -> Run:
    """Write a run down and have it begun. Raises InvalidRequest for what the studio does not run, NotFound for a dataset
    that there is none of, Unavailable where nothing begins runs here."""
    services = asked.services
    if services.begin_run is None:
        raise Unavailable(
            "Runs are begun by a running studio.",
            "Start one with `ratchet serve`, or use `ratchet run start`.",
        )
    for candidate in suite.candidates:
        if candidate.kind == "python":
            raise InvalidRequest(
                f"{candidate.label} is code of yours, which the studio does not run.",
                "Run it where it is: ratchet run start SUITE.",
                param="candidates",
            )
    for scorer in suite.scorers:
        name = scorer if isinstance(scorer, str) else next(iter(cast("dict[str, Any]", scorer)), "")
        if str(name).startswith("python:"):
            raise InvalidRequest(
                f"The scorer {name} is code of yours, which the studio does not run.",
                "Run it where it is: ratchet run start SUITE.",
                param="scorers",
            )
    name, _, number = suite.dataset.partition("@")
    dataset = dataset_named(services.records, project_id=asked.project_id, name=name)
    if number and not number.isdigit():
        raise InvalidRequest(f"{suite.dataset!r} names no version.", "Write NAME@number.", param="dataset")
    version = checked_version(dataset, int(number) if number else None)
    now = services.now()
    run = Run(
        id=new_run_id(now),
        project_id=asked.project_id,
        suite=suite.title,
        settings={**suite.as_settings(), "dataset": f"{name}@{version}", "cache": cache, QUEUED: True},
        dataset=name,
        dataset_version=str(version),
        cases=0,
        candidates=[],
        scorers=[],
        repeats=suite.repeats,
        status="queued",
        author=asked.member.email,
        created=now,
        touched=now,
    )
    add_run(services.records, run, [])
    services.begin_run(run.id)
    return run


def suite_of_form(fields: Mapping[str, str]) -> Suite:
    """A suite from the page's form: candidates and scorers a line each, as a suite file writes them. Raises
    InvalidRequest naming the field."""
    keys: dict[str, Any] = {
        "name": fields.get("name", "").strip() or "from the studio",
        "dataset": fields.get("dataset", "").strip(),
        "candidates": _lines(fields.get("candidates", ""), "candidates"),
        "scorers": _lines(fields.get("scorers", ""), "scorers"),
    }
    for name, read in (("repeats", int), ("concurrency", int), ("max_cost", float)):
        text = fields.get(name, "").strip().removeprefix("$")
        if text:
            try:
                keys[name] = read(text)
            except ValueError:
                raise InvalidRequest(f"{name} is {text!r}.", "Write a number.", param=name) from None
    return suite_of(keys, "The suite")


def _lines(text: str, field: str) -> list[Any]:
    """Each line is one entry, in YAML: a name, or a name with settings."""
    found: list[Any] = []
    for line in text.splitlines():
        plain = line.strip().removeprefix("- ").strip()
        if not plain:
            continue
        if not plain.startswith("{") and ": " not in plain:
            found.append(plain)  # as it stands: `prompt:support#3` is no comment
            continue
        try:
            found.append(yaml.safe_load(plain))
        except yaml.YAMLError as error:
            raise InvalidRequest(
                f"The line {plain!r} can't be read: {getattr(error, 'problem', None) or error}.",
                "Write a name, or {name: {key: value}}.",
                param=field,
            ) from None
    return found
