"""Whether the records' tables are those of this version, told without loading what could change them."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import text

from ratchet.errors import Unavailable
from ratchet.store.records.engine import Records

__all__ = ["is_current"]

_VERSIONS = Path(__file__).with_name("migrations") / "versions"


def is_current(records: Records) -> bool:
    """False where there are no tables yet, or an older version's. Raises Unavailable where nobody can say."""
    newest = max(path.name[:4] for path in _VERSIONS.glob("[0-9]*.py"))
    try:
        with records.read() as connection:
            found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    except Unavailable as error:
        if error.reason != "records_not_set_up":
            raise
        return False
    return found is not None and str(found) >= newest
