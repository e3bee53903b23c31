"""Size budgets and habits that a linter does not know. The lists of exceptions may only shrink."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py")) + sorted((ROOT / "prove").rglob("*.py"))
FILE_LINES, FUNCTION_LINES, TEST_LINES = 500, 60, 800
VAGUE = {"utils", "helpers", "common", "misc", "manager", "base"}

LONG_FILES: set[str] = set()
LONG_FUNCTIONS: set[str] = set()
LONG_TESTS: set[str] = set()


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_there_is_something_to_measure() -> None:
    assert len(SOURCES) > 50
    assert len(TESTS) > 20


def test_files_are_short() -> None:
    long = {name_of(path) for path in SOURCES if len(path.read_text().splitlines()) > FILE_LINES}
    assert long == LONG_FILES


def test_test_files_are_short() -> None:
    long = {name_of(path) for path in TESTS if len(path.read_text().splitlines()) > TEST_LINES}
    assert long == LONG_TESTS


def test_functions_are_short() -> None:
    long = {
        f"{name_of(path)}:{function.name}"
        for path in SOURCES
        for function in functions(path)
        if (function.end_lineno or 0) - function.lineno + 1 > FUNCTION_LINES
    }
    assert long == LONG_FUNCTIONS


def test_names_explain_themselves() -> None:
    assert [name_of(path) for path in SOURCES if path.stem in VAGUE or path.parent.name in VAGUE] == []


def test_no_import_hides_in_a_function() -> None:
    hidden = {
        f"{name_of(path)}:{function.name}"
        for path in SOURCES
        for function in functions(path)
        if any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(function))
    }
    assert hidden == set()


def test_no_global_state_is_rebound() -> None:
    assert [
        name_of(path)
        for path in SOURCES
        if any(isinstance(node, ast.Global) for node in ast.walk(ast.parse(path.read_text())))
    ] == []


def test_broad_excepts_raise_again_or_say_why() -> None:
    silent: list[str] = []
    for path in SOURCES:
        text = path.read_text()
        lines = text.splitlines()
        for node in ast.walk(ast.parse(text)):
            if not (
                isinstance(node, ast.ExceptHandler)
                and getattr(node.type, "id", "") in ("Exception", "BaseException")
            ):
                continue
            raises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
            explained = any("#" in line for line in lines[node.lineno - 1 : node.lineno + 2])
            logged = any(
                isinstance(inner, ast.keyword) and inner.arg == "exc_info" for inner in ast.walk(node)
            )
            if not (raises or explained or logged):
                silent.append(f"{name_of(path)}:{node.lineno}")
    assert silent == []


def test_every_public_module_lists_its_names_sorted() -> None:
    unsorted: list[str] = []
    for path in SOURCES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and any(
                getattr(target, "id", "") == "__all__" for target in node.targets
            ):
                names = ast.literal_eval(node.value)
                if len(set(names)) != len(names):
                    unsorted.append(name_of(path))
    assert unsorted == []


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_every_module_says_what_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree) or not tree.body, "a module starts with a docstring"


def test_tests_assert() -> None:
    empty: list[str] = []
    for path in TESTS:
        for function in functions(path):
            if not function.name.startswith("test"):
                continue
            said = ast.dump(function).lower()
            if not any(word in said for word in ("assert", "raises", "expect")):
                empty.append(f"{name_of(path)}:{function.name}")
    assert empty == []


def test_lock_files_hold_no_addresses() -> None:
    assert [lock.name for lock in ROOT.glob("*.lock") if "://" in lock.read_text()] == []
