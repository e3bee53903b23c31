"""Writing prompts in the studio: the editor, its preview with sample variables, and saving as a new version."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import msgspec
from starlette.responses import Response

from ratchet.errors import InvalidRequest, NotFound, RatchetError, Unavailable
from ratchet.prompts.checking import check_name, check_template
from ratchet.prompts.template import CompiledTemplate
from ratchet.prompts.yaml_text import dump
from ratchet.store.records.prompts import newest_version
from ratchet.studio.formats import segment
from ratchet.studio.prompt_form import PromptForm, form_of, form_typed, read_values, template_typed
from ratchet.studio.prompting import prompt_lines, push, version_meant
from ratchet.studio.rendering import fragment, is_fragment, page, see_other
from ratchet.studio.services import Visit
from ratchet.studio.visiting import Asked, Typed

__all__ = ["Preview", "edit_page", "new_page", "save_from_page"]

_RECENT = 30 * 24 * 3600 * 10**9  # how far back sample variables are looked for


class Shown(msgspec.Struct, frozen=True):
    role: str
    content: str


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What the model would get, or why it would get nothing. `missing` are variables without a sample yet."""

    messages: list[Shown] = []
    problem: RatchetError | None = None
    required: list[str] = []
    optional: list[str] = []


def new_page(asked: Asked) -> Response:
    """An empty editor."""
    return _editor(asked, form_of(None), known=None)


def edit_page(asked: Asked, name: str, version: str = "") -> Response:
    """The editor, with a version to begin from; the newest unless another is named."""
    name = unquote(name)
    base = version_meant(asked, name, version)
    compiled: CompiledTemplate | None = None
    try:
        compiled = check_template(base.template)
    except RatchetError:
        compiled = None  # the preview says what is wrong
    form = form_of(
        base.template,
        name=name,
        parent=str(base.number),
        variables=_samples(asked, name, compiled),
    )
    return _editor(asked, form, known=name, shown=_preview(form))


def save_from_page(asked: Asked, typed: Typed) -> Response:
    """Save as a new version; or preview, or one more empty message, where that button was pressed.

    Whatever is wrong, what was typed stays.
    """
    form = form_typed(typed)
    known = _known(asked, form.name) if form.parent else None
    match next(iter(typed.get("more", ())), ""):
        case "preview" if is_fragment(asked.request):
            return fragment(asked, "prompt_preview.html", preview=_preview(form))
        case "preview":
            return _editor(asked, form, known=known, shown=_preview(form))
        case "":
            return _saved(asked, form, known)
        case _:
            return _editor(asked, form, known=known)


def _saved(asked: Visit, form: PromptForm, known: str | None) -> Response:
    try:
        check_name(form.name)
        if not form.parent and _known(asked, form.name):
            raise InvalidRequest(
                f"There is a prompt {form.name!r} already.",
                "Choose another name, or edit that one.",
                param="name",
            )
        parent = int(form.parent) if form.parent.isdecimal() else None
        (pushed,) = push(asked, [(form.name, template_typed(form), parent)], message=form.message)
    except RatchetError as error:
        return _editor(asked, form, known=known, problem=error)
    note = "saved" if pushed.created else "unchanged"
    return see_other(f"/prompts/{segment(form.name)}/versions/{pushed.number}?{note}=1")


def _editor(
    asked: Visit,
    form: PromptForm,
    *,
    known: str | None,
    problem: RatchetError | None = None,
    shown: Preview | None = None,
) -> Response:
    newest = newest_version(asked.services.records, known, project_id=asked.project_id).number if known else 0
    return page(
        asked,
        "prompt_editor.html",
        status=problem.status if problem else 200,
        form=form,
        known=known,
        newest=newest,
        problem=problem,
        preview=shown,
        routes=[route.name for route in asked.services.routes()],
        names=[line.name for line in prompt_lines(asked)] if known is None else [],
    )


def _preview(form: PromptForm) -> Preview:
    compiled: CompiledTemplate | None = None
    try:
        compiled = check_template(template_typed(form))
        variables: dict[str, Any] | None = read_values(form.variables, "variables", dict)
        messages = compiled.render(variables or {})
    except RatchetError as error:
        return Preview(
            problem=error,
            required=list(compiled.required) if compiled else [],
            optional=list(compiled.optional) if compiled else [],
        )
    return Preview(
        messages=[Shown(each.role, each.content) for each in messages],
        required=list(compiled.required),
        optional=list(compiled.optional),
    )


def _samples(asked: Visit, name: str, compiled: CompiledTemplate | None) -> str:
    """Values to preview with: those that an app sent last, and the variable's own name where none did."""
    if compiled is None:
        return ""
    given: dict[str, object] = {}
    try:
        since = asked.services.now() - _RECENT
        text = asked.services.spans().variables_of(asked.project_id, name, since=since)
        given = msgspec.json.decode(text, type=dict[str, object]) if text else {}
    except (Unavailable, msgspec.DecodeError, RecursionError):
        given = {}  # samples are a convenience
    known = {*compiled.required, *compiled.optional}
    samples = {each: given.get(each, each) for each in compiled.required}
    samples |= {each: value for each, value in given.items() if each in known}
    return dump(samples) if samples else ""


def _known(asked: Visit, name: str) -> str | None:
    """`name`, where there is such a prompt."""
    try:
        newest_version(asked.services.records, name, project_id=asked.project_id)
    except NotFound:
        return None
    return name
