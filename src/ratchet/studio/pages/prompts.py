"""Prompts: the list, one prompt with its versions and labels, one version, two versions side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import unquote

import msgspec
from fastapi import Form
from starlette.responses import Response

from ratchet.domain.access import Role
from ratchet.domain.prompts import PromptComment, PromptVersion, Release, Share
from ratchet.errors import InvalidRequest, RatchetError, Unavailable
from ratchet.prompts.difference import Difference, difference
from ratchet.prompts.files import write_prompt
from ratchet.store.records.prompts import add_comment, comments_of
from ratchet.store.spans import PromptTotal, PromptUse, PromptUses
from ratchet.studio.description import Parameter
from ratchet.studio.filters import RANGES
from ratchet.studio.formats import segment
from ratchet.studio.pages.prompt_editor import new_page
from ratchet.studio.prompting import (
    PromptView,
    may_move,
    move_label,
    prompt_lines,
    prompt_view,
    step_back,
    version_meant,
)
from ratchet.studio.rendering import json_response, page, see_other
from ratchet.studio.services import Visit
from ratchet.studio.side_by_side import Block, blocks
from ratchet.studio.visiting import Asked, Typed

__all__ = [
    "USES_QUERY",
    "comment_from_page",
    "difference_page",
    "drop_label_from_page",
    "prompt_page",
    "prompt_uses_json",
    "prompts_page",
    "roll_back_from_page",
    "set_label_from_page",
    "version_page",
]

_RANGES = {name: RANGES[name] for name in ("24h", "7d", "30d", "all")}
_DEFAULT_RANGE = "30d"


USES_QUERY = (Parameter("range", "The last stretch of time.", {"type": "string", "enum": ["", *_RANGES]}),)


class Standing(msgspec.Struct, frozen=True):
    """A label as its card shows it: what it serves, since when, and what may be done with it."""

    release: Release
    shares: list[tuple[int, float]]  # version, its part of the traffic
    protected: bool
    may_move: bool
    may_step_back: bool


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the page that a form had a problem in."""

    problem: RatchetError | None = None
    label: str = ""
    version: str = ""
    weight: str = ""
    comment: str = ""


_NOTHING = Tried()


def prompts_page(asked: Asked) -> Response:
    """Every prompt with its labels, newest version and traffic; with `new`, the empty editor."""
    if "new" in asked.request.query_params and asked.member.role >= Role.DEVELOPER:
        return new_page(asked)
    since, chosen = _since(asked)
    lines = prompt_lines(asked)
    totals: dict[str, PromptTotal] = {}
    problem = ""
    try:
        totals = asked.services.spans().prompt_totals(asked.project_id, since=since) if lines else {}
    except Unavailable as error:
        problem = error.message
    return page(
        asked,
        "prompts.html",
        lines=lines,
        totals=totals,
        shares={line.name: {each.label: _shares(each) for each in line.labels} for line in lines},
        ranges_shown=_RANGES,
        range=chosen,
        store_problem=problem,
        may_edit=asked.member.role >= Role.DEVELOPER,
    )


def prompt_page(asked: Asked, name: str) -> Response:
    """One prompt: labels, versions with what each did, every combination tried, history."""
    return _one(asked, unquote(name))


def prompt_uses_json(asked: Asked, name: str) -> Response:
    """What was done with the prompt: by version, and by version, target and temperature. `range` bounds the time."""
    prompt_view(asked, name)
    return json_response(asked.services.spans().prompt_uses(asked.project_id, name, since=_since(asked)[0]))


def version_page(asked: Asked, name: str, number: int) -> Response:
    """One version: what it says, what differs from the one it was made from, what was said of it."""
    return _version(asked, unquote(name), number)


def difference_page(asked: Asked, name: str, before: str = "", after: str = "") -> Response:
    """Two versions side by side; by default the newest and the one it was made from."""
    name = unquote(name)
    view = prompt_view(asked, name)
    new = version_meant(asked, name, after)
    old = version_meant(asked, name, before or str(new.parent or max(new.number - 1, 1)))
    found = difference(old.template, new.template)
    return page(
        asked,
        "prompt_difference.html",
        view=view,
        before=old,
        after=new,
        found=found,
        blocks=_blocks(found),
    )


def set_label_from_page(asked: Asked, name: str, typed: Typed) -> Response:
    """The form that moves a label: to a version, or to a split of that version with what is served now."""
    name = unquote(name)
    label, version, weight = (_one_of(typed, field) for field in ("label", "version", "weight"))
    tried = Tried(label=label, version=version, weight=weight)
    try:
        split = _split(asked, name, label, version, weight)
        seen = _one_of(typed, "seen")
        move_label(
            asked,
            name,
            label,
            split,
            message=_one_of(typed, "message"),
            seen=int(seen) if seen.isdecimal() else None,
        )
    except RatchetError as error:
        return _one(asked, name, tried=msgspec.structs.replace(tried, problem=error))
    return see_other(f"/prompts/{segment(name)}?saved=1")


def roll_back_from_page(asked: Asked, name: str, label: str, seen: Annotated[str, Form()] = "") -> Response:
    """The button that lets a label serve what it served before."""
    try:
        step_back(asked, unquote(name), label, seen=int(seen) if seen.isdecimal() else None)
    except RatchetError as error:
        return _one(asked, unquote(name), tried=Tried(problem=error))
    return see_other(f"/prompts/{segment(unquote(name))}?saved=1")


def drop_label_from_page(asked: Asked, name: str, label: str) -> Response:
    """The button that takes a label away."""
    try:
        move_label(asked, unquote(name), label, [])
    except RatchetError as error:
        return _one(asked, unquote(name), tried=Tried(problem=error))
    return see_other(f"/prompts/{segment(unquote(name))}?saved=1")


def comment_from_page(asked: Asked, name: str, number: int, text: Annotated[str, Form()] = "") -> Response:
    """The comment form of a version."""
    name = unquote(name)
    try:
        add_comment(
            asked.services.records,
            name,
            number,
            text,
            project_id=asked.project_id,
            author=asked.member.email,
            now=asked.services.now(),
        )
    except InvalidRequest as error:
        return _version(asked, name, number, tried=Tried(problem=error, comment=text))
    return see_other(f"/prompts/{segment(name)}/versions/{number}#comments")


def _one(asked: Visit, name: str, *, tried: Tried = _NOTHING) -> Response:
    view = prompt_view(asked, name)
    since, chosen = _since(asked)
    uses, problem = PromptUses([], []), ""
    try:
        uses = asked.services.spans().prompt_uses(asked.project_id, name, since=since)
    except Unavailable as error:
        problem = error.message
    comments = comments_of(asked.services.records, name, project_id=asked.project_id)
    return page(
        asked,
        "prompt.html",
        status=tried.problem.status if tried.problem else 200,
        view=view,
        standing=[_standing(asked, view, each) for each in view.labels],
        uses={use.version: use for use in uses.versions},
        combinations=uses.combinations,
        said=_count(comments),
        served={each.version: _labels(view, each.version) for each in _all_shares(view)},
        shares={f"{each.label}.{each.number}": _shares(each) for each in view.history},
        tried=tried,
        ranges_shown=_RANGES,
        range=chosen,
        store_problem=problem,
        may_edit=asked.member.role >= Role.DEVELOPER,
        saved="saved" in asked.request.query_params,
    )


def _version(asked: Visit, name: str, number: int, *, tried: Tried = _NOTHING) -> Response:
    view = prompt_view(asked, name)
    version = version_meant(asked, name, str(number))
    changed: list[Block] = []
    found: Difference | None = None
    if version.parent is not None:
        found = difference(version_meant(asked, name, str(version.parent)).template, version.template)
        changed = _blocks(found)
    uses = PromptUses([], [])
    try:
        uses = asked.services.spans().prompt_uses(asked.project_id, name, since=_since(asked)[0])
    except Unavailable:
        uses = PromptUses([], [])  # the prompt's own page says so
    comments = comments_of(asked.services.records, name, project_id=asked.project_id)
    return page(
        asked,
        "prompt_version.html",
        status=tried.problem.status if tried.problem else 200,
        view=view,
        version=version,
        labels=_labels(view, number),
        use=_use_of(uses, number),
        file=write_prompt(version.template),
        found=found,
        blocks=changed,
        values=_values(version),
        comments=[each for each in comments if each.version == number],
        tried=tried,
        may_edit=asked.member.role >= Role.DEVELOPER,
        may_comment=asked.member.role >= Role.ANNOTATOR,
        saved="saved" in asked.request.query_params,
    )


def _values(version: PromptVersion) -> Mapping[str, str]:
    """What a version fixes beside its messages, as text."""
    template = version.template
    shown = {"model": template.model or "left to whoever asks"}
    for key, value in template.parameters.items():
        shown[key] = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return shown


def _blocks(found: Difference) -> list[Block]:
    schema = [found.output_schema] if found.output_schema is not None else []
    return blocks([*found.messages, *found.examples, *found.tools, *schema])


def _use_of(uses: PromptUses, number: int) -> PromptUse | None:
    return next((use for use in uses.versions if use.version == number), None)


def _standing(asked: Visit, view: PromptView, release: Release) -> Standing:
    return Standing(
        release=release,
        shares=_shares(release),
        protected=release.label in view.protected,
        may_move=may_move(asked, release.label),
        may_step_back=sum(each.label == release.label for each in view.history) > 1,
    )


def _shares(release: Release) -> list[tuple[int, float]]:
    total = sum(share.weight for share in release.split)
    return [(share.version, share.weight / total) for share in release.split]


def _all_shares(view: PromptView) -> list[Share]:
    return [share for release in view.labels for share in release.split]


def _labels(view: PromptView, number: int) -> list[tuple[str, float]]:
    """The labels that serve a version, and its part of each."""
    return [
        (release.label, part)
        for release in view.labels
        for version, part in _shares(release)
        if version == number
    ]


def _split(asked: Visit, name: str, label: str, version: str, weight: str) -> list[Share]:
    """All of the traffic for `version`, or `weight` per cent of it beside what the label serves now."""
    number = version_meant(asked, name, version).number
    if weight in ("", "100"):
        return [Share(version=number)]
    if not weight.isdecimal() or not 1 <= int(weight) <= 99:
        raise InvalidRequest(f"The part {weight!r} is none.", "Give 1 to 100 per cent.", param="weight")
    standing = next((each for each in prompt_view(asked, name).labels if each.label == label), None)
    others = [share for share in standing.split if share.version != number] if standing else []
    if len(others) != 1:
        raise InvalidRequest(
            f"{name}@{label} serves no other version that could take the rest.",
            "Give it 100 per cent first; splits of more than two are made with `ratchet prompt label`.",
            param="weight",
        )
    return [
        Share(version=others[0].version, weight=100 - int(weight)),
        Share(version=number, weight=int(weight)),
    ]


def _count(comments: list[PromptComment]) -> dict[int, int]:
    found: dict[int, int] = {}
    for each in comments:
        found[each.version] = found.get(each.version, 0) + 1
    return found


def _since(asked: Visit) -> tuple[int | None, str]:
    chosen = asked.request.query_params.get("range") or _DEFAULT_RANGE
    if chosen not in _RANGES:
        raise InvalidRequest(f"range is {chosen!r}.", f"It is one of {', '.join(_RANGES)}.", param="range")
    width = _RANGES[chosen][1]
    return (asked.services.now() - width if width else None), chosen


def _one_of(typed: Mapping[str, list[str]], name: str) -> str:
    return next(iter(typed.get(name, ())), "").strip()
