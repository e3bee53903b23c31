"""Where settings and data lie for code that no command line has started: as for `ratchet` itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ratchet.app.paths import DataDir
from ratchet.errors import Misconfigured

__all__ = ["config_of", "find_places"]


def config_of(
    folder: Path, config: Path | str | None = None, environment: Mapping[str, str] = os.environ
) -> Path:
    """The settings file: as given, by RATCHET_CONFIG, or the one in `folder`, which may be missing.

    Raises Misconfigured where one that somebody named does not exist.
    """
    named = config or environment.get("RATCHET_CONFIG")
    if named and not (folder / named).exists():
        raise Misconfigured(
            f"The settings file {named} does not exist.", "Correct `config` (or RATCHET_CONFIG)."
        )
    return folder / (named or "ratchet.toml")


def find_places(
    folder: Path,
    *,
    config: Path | str | None = None,
    data_dir: Path | str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> tuple[Path, DataDir]:
    """`config_of`, and the data directory: as given, by RATCHET_DATA_DIR, or `.ratchet` in `folder`.

    Raises Misconfigured as `config_of` does, and where the directory can't be made.
    """
    place = data_dir or environment.get("RATCHET_DATA_DIR") or ".ratchet"
    return config_of(folder, config, environment), DataDir.at(folder / place)
