"""What pages and API do with releases: promote a version through the gate, watch a canary, step back."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ratchet.domain.prompts import CanaryPolicy, PromptVersion, Release, Share
from ratchet.domain.releases import CanaryReport
from ratchet.errors import Conflict, InvalidRequest, Unavailable
from ratchet.prompts.checking import check_label
from ratchet.store.records.gates import gates_of_version
from ratchet.store.records.prompts import version_of
from ratchet.store.records.releases import current_releases, release_history, release_split
from ratchet.studio.prompting import check_may_move
from ratchet.studio.services import Visit

__all__ = ["Promotion", "ReleaseView", "promote", "release_views", "view_of_release"]

_WHOLE = 100  # per cent


class ReleaseView(msgspec.Struct, frozen=True, kw_only=True):
    """A release in force. `canary` says how its canary does; `problem` why that is not known now."""

    release: Release
    protected: bool
    canary: CanaryReport | None = None
    problem: str = ""


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """What shall be released. `share` is the canary's part of the users in per cent; 100 is everybody.

    `run_id` names the run whose gate is to count, "" for the newest that passed. `without_gate` says why none need be.
    """

    prompt: str
    version: int
    label: str
    share: int = _WHOLE
    run_id: str = ""
    without_gate: str = ""
    message: str = ""
    alpha: float = 0.05
    latency_ratio: float = 1.1
    cost_ratio: float = 1.1


def release_views(asked: Visit) -> list[ReleaseView]:
    """Every label of every prompt that serves something, by prompt and label."""
    found = current_releases(asked.services.records, project_id=asked.project_id)
    return [view_of_release(asked, release) for name in sorted(found) for release in found[name]]


def view_of_release(asked: Visit, release: Release) -> ReleaseView:
    """The store being away costs the canary's figures, and nothing else."""
    protected = release.label in asked.services.protected_labels()
    if release.canary is None:
        return ReleaseView(release=release, protected=protected)
    try:
        report = asked.services.canary_report(release)
    except Unavailable as error:
        return ReleaseView(release=release, protected=protected, problem=str(error))
    return ReleaseView(release=release, protected=protected, canary=report)


def promote(asked: Visit, wanted: Promotion) -> Release:
    """Let a label serve a version, whole or as a canary beside what it serves now.

    A protected label takes a run whose gate passed for just this version, or a reason why not, which its history
    keeps. Raises Forbidden for a role that is too small, NotFound, InvalidRequest, and Conflict where no gate passed.
    """
    check_label(wanted.label)
    check_may_move(asked, wanted.label)
    records, project = asked.services.records, asked.project_id
    version = version_of(records, wanted.prompt, wanted.version, project_id=project)
    run_id = ""
    message = wanted.message.strip()
    if wanted.without_gate.strip():
        message = f"{message} (without a gate: {wanted.without_gate.strip()})".strip()
    elif wanted.run_id or wanted.label in asked.services.protected_labels():
        run_id = _gate_passed(asked, version, wanted)
    before = _in_force(asked, wanted.prompt, wanted.label)
    split, canary = _split(wanted, before)
    return release_split(
        records,
        wanted.prompt,
        wanted.label,
        split,
        project_id=project,
        by=asked.member.email,
        now=asked.services.now(),
        message=message,
        gate_run_id=run_id,
        canary=canary,
        seen=before.number if before else _newest_number(asked, wanted.prompt, wanted.label),
    )


def _in_force(asked: Visit, prompt: str, label: str) -> Release | None:
    found = current_releases(asked.services.records, project_id=asked.project_id).get(prompt, [])
    return next((release for release in found if release.label == label), None)


def _newest_number(asked: Visit, prompt: str, label: str) -> int:
    """Of a label that serves nothing now: it may have been taken away."""
    history = release_history(asked.services.records, prompt, project_id=asked.project_id, label=label)
    return history[0].number if history else 0


def _split(wanted: Promotion, before: Release | None) -> tuple[Sequence[Share], CanaryPolicy | None]:
    if wanted.share == _WHOLE:
        return [Share(version=wanted.version)], None
    baseline = _baseline(before)
    if baseline is None:
        raise InvalidRequest(
            f"{wanted.prompt}@{wanted.label} serves nothing that a canary could be compared with.",
            "Release the version to everybody, without --canary.",
            param="share",
        )
    if baseline == wanted.version:
        raise InvalidRequest(
            f"{wanted.prompt}@{wanted.label} serves version {baseline} already.",
            "Name another version, or release this one without --canary.",
            param="version",
        )
    split = [
        Share(version=baseline, weight=_WHOLE - wanted.share),
        Share(version=wanted.version, weight=wanted.share),
    ]
    return split, CanaryPolicy(
        baseline=baseline,
        canary=wanted.version,
        alpha=wanted.alpha,
        latency_ratio=wanted.latency_ratio,
        cost_ratio=wanted.cost_ratio,
    )


def _baseline(before: Release | None) -> int | None:
    """What most users get now; beside a canary, what it is compared with."""
    if before is None:
        return None
    if before.canary is not None:
        return before.canary.baseline
    return max(before.split, key=lambda share: share.weight).version


def _gate_passed(asked: Visit, version: PromptVersion, wanted: Promotion) -> str:
    """The id of a run whose gate passed for this version's content: the newest word counts. Raises Conflict."""
    named = f"{version.prompt}#{version.number}"
    said = gates_of_version(asked.services.records, version.prompt, version.hash, project_id=asked.project_id)
    if wanted.run_id:
        said = [gate for gate in said if gate.run_id.startswith(wanted.run_id)]
    if said and said[0].verdict == "PASS":
        return said[0].run_id
    where = f" of the run {wanted.run_id}" if wanted.run_id else ""
    if said:
        why = f"The gate{where} said {said[0].verdict} to {named}: {said[0].reason}"
    else:
        why = f"No gate{where} has said anything about {named}, and the label {wanted.label!r} takes one that passed."
    raise Conflict(
        why,
        "Run `ratchet gate check SUITE` with this version as the candidate, or say why none is needed: "
        "`--without-gate REASON`.",
        code="gate_not_passed",
    )
