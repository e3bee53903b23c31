"""So many an hour by name, in one process's memory and in bounded room: for what costs little, and must not cost much.

What is declared as a limit is counted elsewhere, for all gateways together.
"""

from __future__ import annotations

__all__ = ["Pacing"]


class Pacing:
    """The generic cell rate algorithm (ITU-T I.371, 1996): one each `interval`, and as many at once as fit in `room`.

    All times are nanoseconds of a clock that never jumps back. `most` names are remembered; beyond them, the one that
    has been silent longest begins anew.
    """

    def __init__(self, *, interval: int, room: int, most: int) -> None:
        self._interval = interval
        self._room = room
        self._most = most
        self._due: dict[str, int] = {}  # when what was taken is paid off; who asked last stands last

    def wait(self, name: str, now: int, scale: float = 1.0) -> int:
        """0: it may have one, which is taken. Otherwise how long until it may; nothing is taken then.

        `scale`: how many times as much this name may have.
        """
        due = max(self._due.pop(name, now), now)
        after = due + int(self._interval / scale)
        over = after - now - self._room
        self._due[name] = due if over > 0 else after
        if len(self._due) > self._most:
            del self._due[next(iter(self._due))]
        return max(over, 0)
