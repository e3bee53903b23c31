"""Prompts in a folder: which files there are, what they say, and writing them without losing anybody's work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from ratchet.domain.prompts import NAME, Template
from ratchet.errors import Conflict, InvalidRequest
from ratchet.files import replace_file
from ratchet.prompts.files import read_prompt, write_prompt
from ratchet.prompts.hashing import content_hash

__all__ = ["SUFFIX", "Written", "read_files", "write_files"]

SUFFIX = ".md"
DEFAULT_FOLDER = Path("prompts")


class Written(msgspec.Struct, frozen=True):
    """What became of a file: `state` is new, changed or same."""

    name: str
    path: str
    number: int
    state: str


def read_files(places: Sequence[Path]) -> dict[str, Template]:
    """Every prompt in the files, and in the folders' own `.md` files, by name.

    Raises InvalidRequest for the first thing that is wrong, naming the file and the line.
    """
    found: dict[str, tuple[Path, Template]] = {}
    for path in _paths(places):
        name = path.name.removesuffix(SUFFIX)
        if not NAME.fullmatch(name):
            raise InvalidRequest(
                f"{path}: a prompt can't be named {name!r}.",
                "Rename the file: letters, digits, '.', '_' and '-', beginning with a letter or a digit.",
            )
        if name in found:
            raise InvalidRequest(
                f"{path} and {found[name][0]} are both the prompt {name!r}.", "Push one of them."
            )
        found[name] = (path, read_file(path))
    return {name: template for name, (_, template) in found.items()}


def read_file(path: Path) -> Template:
    """Raises InvalidRequest."""
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise InvalidRequest(f"{path} can't be read: {error.strerror}.", "Check the path.") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{path} is not UTF-8: {error.reason}.", "Save it as UTF-8.") from error
    return read_prompt(text, path=str(path))


def write_files(
    folder: Path, wanted: Mapping[str, tuple[int, Template]], known: Mapping[str, set[str]], *, force: bool
) -> list[Written]:
    """Write each prompt's version to its file. `known` are the hashes of all its versions.

    A file whose content is no version holds work that was never pushed: unless `force` says so, nothing is written
    and Conflict names it.
    """
    states: dict[str, str] = {}
    unpushed: list[Path] = []
    for name, (_, template) in wanted.items():
        path = folder / f"{name}{SUFFIX}"
        states[name] = "new"
        if path.exists():
            held = _hash_of(path)
            states[name] = "same" if held == content_hash(template) else "changed"
            if states[name] == "changed" and held not in known.get(name, set()):
                unpushed.append(path)
    if unpushed and not force:
        raise Conflict(
            f"{', '.join(map(str, unpushed))}: changed here and never pushed; nothing was written.",
            "Push it with `ratchet prompt push`, or write over it with --force.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Written] = []
    for name, (number, template) in wanted.items():
        path = folder / f"{name}{SUFFIX}"
        if states[name] != "same":
            replace_file(path, write_prompt(template).encode(), mode=0o666)
        written.append(Written(name, str(path), number, states[name]))
    return written


def _hash_of(path: Path) -> str:
    """ "" for a file that is no prompt."""
    try:
        return content_hash(read_file(path))
    except InvalidRequest:
        return ""


def _paths(places: Sequence[Path]) -> list[Path]:
    paths: list[Path] = []
    for place in places or [DEFAULT_FOLDER]:
        if place.is_dir():
            inside = sorted(place.glob(f"*{SUFFIX}"))
            if not inside:
                raise InvalidRequest(
                    f"There is no prompt in {place}.",
                    f"A prompt is a file NAME{SUFFIX} there; see docs/prompts.md.",
                )
            paths += inside
        elif place.suffix == SUFFIX or place.exists():
            paths.append(place)
        else:
            raise InvalidRequest(f"{place} does not exist.", "Name files, or folders that hold some.")
    return list(dict.fromkeys(paths))
