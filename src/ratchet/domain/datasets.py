"""A dataset: named test cases that people change; a version of it never changes."""

from __future__ import annotations

import msgspec

__all__ = ["SEALED", "Dataset", "DatasetVersion"]

SEALED = "test"
"""The split whose cases nobody who makes a prompt better may see: neither an optimiser, nor a judge's examples."""


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """`version` is the number of the newest, 0 before there was a case. Times in nanoseconds.

    `shares` says how large each split is to be, such as `{"train": 0.6, "dev": 0.2, "test": 0.2}`; it is empty while
    the dataset is not split.
    """

    id: str
    project_id: str
    name: str
    description: str = ""
    version: int = 0
    shares: dict[str, float] = {}
    created: int
    created_by: str


class DatasetVersion(msgspec.Struct, frozen=True, kw_only=True):
    """`cases` is how many it holds; `added`, `changed` and `removed` how it differs from the one before."""

    number: int
    author: str
    message: str = ""
    created: int
    added: int
    changed: int
    removed: int
    cases: int
