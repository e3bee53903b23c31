"""Where the data directory keeps what."""

from __future__ import annotations

import dataclasses
import socket
from pathlib import Path

from ratchet.errors import Misconfigured

__all__ = ["DataDir"]


@dataclasses.dataclass(frozen=True, slots=True)
class DataDir:
    """What ratchet keeps on disk, and nowhere else."""

    root: Path

    @classmethod
    def at(cls, path: Path) -> DataDir:
        """Create it, for its owner only. Raises Misconfigured where that can't be done."""
        root = path.resolve()
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise Misconfigured(
                f"The data directory {root} can't be used: {error.strerror}.",
                "Choose another with --data-dir.",
            ) from error
        return cls(root)

    @property
    def spool(self) -> Path:
        return self.root / "spool"

    @property
    def collector_state(self) -> Path:
        return self.root / "collector.json"

    @property
    def export_state(self) -> Path:
        return self.root / "export.json"

    @property
    def remembered_settings(self) -> Path:
        return self.root / "gateway-settings.toml"

    @property
    def remembered_records(self) -> Path:
        return self.root / "gateway-records.json"

    @property
    def counters(self) -> Path:
        """What a gateway counts, where nothing else does; it alone has it open."""
        return self.root / "counters"

    @property
    def answers(self) -> Path:
        """Answers to nearly the same questions, kept by a gateway; it alone has it open."""
        return self.root / "answers.journal"

    @property
    def webhooks(self) -> Path:
        """What webhooks have yet to tell: a file of each gateway."""
        return self.root / "webhooks"

    @property
    def workers(self) -> Path:
        """The figures of gateways that share a port."""
        return self.root / "workers"

    @property
    def studio_address(self) -> Path:
        """Where a running studio is and the token the CLI shows it; only its owner may read it."""
        return self.root / "studio.json"

    @property
    def place(self) -> str:
        """What tells it from every other data directory, on whichever machine."""
        return f"{socket.gethostname()}:{self.root}"

    @property
    def runs(self) -> Path:
        """What runs have paid for, and who works at which."""
        return self.root / "runs"

    @property
    def ledger(self) -> Path:
        """What has been paid for: every process that asks models once shares it."""
        return self.runs / "ledger.db"

    @property
    def lock(self) -> Path:
        """Held by the one process that has the stores open."""
        return self.root / "lock"
