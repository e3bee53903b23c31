"""Whose answers are to be gone: from memory, from the journal, and out of shared stores' reach."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from ratchet.domain.forgetting import Forgotten, name_hash
from ratchet.gateway.cache.journal import Also, Journal, Line, New, Verdict, without_words
from ratchet.gateway.caller import Caller

__all__ = ["Forgetting", "forget_on_disk", "name_of", "purge", "remaining"]

log = logging.getLogger("ratchet.gateway")


class Forgetting:
    """Everybody who is to be forgotten, and up to when."""

    def __init__(self, forgotten: Iterable[Forgotten] = ()) -> None:
        self._until = {(each.project_id, each.name_hash): each.time for each in forgotten}

    def __bool__(self) -> bool:
        return bool(self._until)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Forgetting) and self._until == other._until

    __hash__ = None  # type: ignore[assignment]  # equal ones are told apart by nothing that lasts

    def has(self, project: str, hashed: str, made: int) -> bool:
        """Whether what was made then, for whom the hash stands, is to be gone."""
        return made <= self._until.get((project, hashed), -1)

    def covers(self, project: str, who: str, made: int) -> bool:
        """The same for whoever asked, as `semantic.who_asks` names them."""
        name = who.partition("\n")[2]
        return bool(name) and self.has(project, name_hash(project, name), made)


def remaining(lines: Iterable[Line], forgetting: Forgetting) -> Iterator[Line]:
    """The lines of a journal without those who are to be forgotten. What judges found stays, without anybody's words:
    the promise of a route rests on how often they found what."""
    projects: dict[int, str] = {}  # of the answers that stay
    for line in lines:
        match line:
            case New(number, project):
                projects.pop(number, None)
                if forgetting.covers(project, line.owner, line.entry.made):
                    continue
                projects[number] = project
            case Also(number):
                if number not in projects or forgetting.covers(projects[number], line.who, line.made):
                    continue
            case Verdict(project):
                if any(forgetting.covers(project, who, made) for who, made in line.whose):
                    yield without_words(line)
                    continue
        yield line


def purge(journal: Journal, forgetting: Forgetting) -> tuple[list[Line], bool]:
    """What remains of a journal, and whether nothing else stands in it any more. Blocks."""
    before = list(journal.read())
    after = list(remaining(before, forgetting))
    if after == before:
        return after, True
    try:
        journal.replace(after)
    except OSError as error:
        log.warning("what is to be forgotten could not be taken out of the semantic cache: %s", error)
        return after, False
    return after, True


def forget_on_disk(path: Path, forgetting: Forgetting) -> None:
    """For a journal that no route has open: it is still there when the last of them has left `semantic`. Blocks."""
    if path.exists():
        with contextlib.suppress(OSError):  # the process that has it open forgets by itself
            journal = Journal(path)
            purge(journal, forgetting)
            journal.close()


def name_of(caller: Caller) -> str:
    """What stands for the one who asks; "" where nothing tells them from others."""
    return caller.user or caller.session or caller.fingerprint or caller.ip
