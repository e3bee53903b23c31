"""Where settings and data lie for code that no command line has started: as for `ratchet` itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ratchet.app.paths import DataDir
from ratchet.errors import Misconfigured

__all__ = ["find_places"]


def find_places(
    folder: Path,
    *,
    config: Path | str | None = None,
    data_dir: Path | str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> tuple[Path, DataDir]:
    """The settings file and the data directory: as given, by RATCHET_CONFIG and RATCHET_DATA_DIR, or in `folder`.

    Raises Misconfigured where a settings file that somebody named does not exist, or the directory can't be made.
    """
    named = config or environment.get("RATCHET_CONFIG")
    if named and not (folder / named).exists():
        raise Misconfigured(
            f"The settings file {named} does not exist.", "Correct `config` (or RATCHET_CONFIG)."
        )
    place = data_dir or environment.get("RATCHET_DATA_DIR") or ".ratchet"
    return folder / (named or "ratchet.toml"), DataDir.at(folder / place)
