"""What the documents say is what the program does: nothing is missing, nothing is there that isn't, examples run."""

from __future__ import annotations

import ast
import asyncio
import json
import re
import shlex
import tomllib
import types
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args, get_origin
from urllib.parse import urlsplit

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from tests.conftest import RunningGateway
from typer.main import get_command

from ratchet import errors
from ratchet.app.settings import Settings
from ratchet.cli import COMMANDS, app
from ratchet.domain.access import Role
from ratchet.gateway.endpoints.http import GatewayApp
from ratchet.store.records import schema as records
from ratchet.store.spans.schema import COLUMNS
from ratchet.studio.routes import ENDPOINTS
from ratchet.telemetry.calls import Call
from ratchet.telemetry.metrics import Metrics

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
GUIDES = [ROOT / "README.md", DOCS / "quickstart.md"]
SOURCES = sorted((ROOT / "src" / "ratchet").rglob("*.py"))
UNSEEN = {"simulator", "demo"}  # rooms whose error codes are not the program's own
MADE = {".venv", ".git", ".bench", ".ratchet", ".hypothesis", "screenshots", "node_modules", "__pycache__"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next of its level or above."""
    level = len(heading) - len(heading.lstrip("#"))
    lines = text.splitlines()
    begin = lines.index(heading) + 1
    fenced = False
    for number, line in enumerate(lines[begin:], begin):
        fenced ^= line.startswith("```")
        if not fenced and re.match(rf"#{{1,{level}}} ", line):
            return "\n".join(lines[begin:number])
    return "\n".join(lines[begin:])


def rows(text: str) -> list[list[str]]:
    """The cells of every line in a text's tables: headings too, the rules below them not."""
    lines = [line for line in text.splitlines() if line.startswith("| ") and set(line) - set("|- ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def coded(text: str) -> list[str]:
    """Everything in backticks."""
    return re.findall(r"`([^`]+)`", text)


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def group_of(command: Any) -> Mapping[str, Any]:
    return getattr(command, "commands", None) or {}


def commands() -> dict[str, Any]:
    """`ratchet …` as it is typed, and what is behind it."""
    root = get_command(app)
    found: dict[str, Any] = {}
    for name in COMMANDS:
        command = root.get_command(None, name)  # type: ignore[arg-type, union-attr]
        verbs = group_of(command)
        found |= {f"ratchet {name} {verb}": inner for verb, inner in verbs.items()} or {
            f"ratchet {name}": command
        }
    return found


def options(command: Any) -> set[str]:
    """The options that a person may use."""
    return {
        name
        for parameter in command.params
        if parameter.param_type_name == "option" and not parameter.hidden
        for name in parameter.opts
    }


# -- the command line ----------------------------------------------------------------------------------------------


def test_every_command_has_a_section_and_no_other_has() -> None:
    assert set(re.findall(r"^### `(ratchet [^`]+)`$", page("cli.md"), re.MULTILINE)) == set(commands())


@pytest.mark.parametrize("name", sorted(commands()))
def test_a_command_is_described_with_all_its_options_and_an_example(name: str) -> None:
    text = section(page("cli.md"), f"### `{name}`")
    described = {word for word in coded(text.partition("```")[0]) if re.fullmatch(r"--?[a-z][a-z-]*", word)}
    assert described == options(commands()[name])
    assert any(name in example for example in re.findall(r"```sh\n(.*?)```", text, re.DOTALL))


def test_the_global_options_are_described() -> None:
    described = {
        word.split()[0]
        for row in rows(section(page("cli.md"), "## Global options"))
        for word in coded(row[0])
    }
    assert described == options(get_command(app))


def typed() -> Iterator[tuple[str, list[str]]]:
    """Every `ratchet …` in a shell example, as words."""
    for path in PAGES:
        for block in blocks(path, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if "ratchet" in words:
                    yield name_of(path), words[words.index("ratchet") + 1 :]


def test_every_command_in_an_example_exists() -> None:
    root = get_command(app)
    known = commands()
    seen = 0
    for path, words in typed():
        rest = list(words)
        while rest and rest[0] in ("--config", "--data-dir"):
            rest = rest[2:]
        if rest[0] in options(root):
            continue
        name = f"ratchet {rest[0]}"
        if name not in known:
            name, rest = f"{name} {rest[1]}", rest[1:]
        assert name in known, (path, words)
        assert {word for word in rest if word.startswith("-")} <= options(known[name]), (path, words)
        seen += 1
    assert seen > 30


def test_every_command_that_a_text_or_a_message_names_exists() -> None:
    known = set(commands()) | {f"ratchet {name}" for name in COMMANDS}
    unknown = {
        f"{name_of(path)}: {named}"
        for path in (*PAGES, *SOURCES)
        for named in re.findall(r"`(ratchet [a-z]+(?: [a-z]+(?:-[a-z]+)*)?)\b", path.read_text("utf-8"))
        if named not in known
    }
    assert unknown == set()


# -- addresses -----------------------------------------------------------------------------------------------------


def gateway_requests() -> set[str]:
    application = GatewayApp(None)  # type: ignore[arg-type]  # the table of paths needs no services
    return {f"{method} {path}" for path, (method, _, _) in application._paths.items()}


def documented(part: str) -> dict[str, str]:
    """Each request that has a section in one part of the API's reference, and that section."""
    text = section(page("api.md"), part)
    headings = re.findall(r"^(### `(\w+ \S+)`.*)$", text, re.MULTILINE)
    return {request: section(text, heading) for heading, request in headings}


def test_every_request_of_the_gateway_is_described_with_an_example() -> None:
    found = documented("## Gateway")
    assert set(found) == gateway_requests()
    assert [request for request, text in found.items() if "curl " not in text] == []
    assert {
        coded(row[0])[0] for row in rows(section(page("gateway.md"), "## Endpoints"))[1:]
    } == gateway_requests()


def test_every_request_of_the_studio_is_described_with_its_role() -> None:
    found = documented("## Studio")
    pages = {coded(row[0])[0]: row[1] for row in rows(section(page("api.md"), "### Pages"))[1:]}
    roles = {f"{each.method} {each.path}": each.role for each in ENDPOINTS}
    assert set(found) | set(pages) == set(roles)
    assert [request for request, text in found.items() if "curl " not in text] == []
    for request, role in roles.items():
        said = pages[request] if request in pages else re.findall(r"Role: (\w+)\.", found[request])[0]
        assert said == ("everyone" if role is None else Role(role).label), request


def test_every_address_in_an_example_exists() -> None:
    gateway = {request.split()[1] for request in gateway_requests()}
    patterns = [each.pattern() for each in ENDPOINTS]
    seen = 0
    for path in PAGES:
        for block in blocks(path, "sh"):
            for address in re.findall(r"https?://127\.0\.0\.1:80(?:80|81)[^\s\"']*", block):
                parts = urlsplit(address)
                known = (
                    parts.path in gateway
                    if parts.port == 8080
                    else any(one.match(parts.path) for one in patterns)
                )
                assert known, (name_of(path), address)
                seen += 1
    assert seen > 20


# -- settings ------------------------------------------------------------------------------------------------------


def model_in(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """The settings model behind a type, and whether it stands behind a name of one's own."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    if get_origin(annotation) is dict:
        return model_in(get_args(annotation)[1])[0], True
    if isinstance(annotation, types.UnionType):
        found = [model for each in get_args(annotation) if (model := model_in(each)[0])]
        return (found[0] if found else None), False
    return None, False


def settings_keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of a settings file, dotted, with its default."""
    for name, field in model.model_fields.items():
        inner, named = model_in(field.annotation)
        if inner is None:
            default = field.get_default(call_default_factory=True)
            yield f"{prefix}{name}", "required" if default is PydanticUndefined else default
        else:
            own = ('."provider/model"' if name in ("prices", "options") else ".NAME") if named else ""
            yield from settings_keys(inner, f"{prefix}{name}{own}.")


def default_in(cell: str) -> Any:
    if cell in ("–", "required"):
        return None if cell == "–" else cell
    return tomllib.loads(f"value = {coded(cell)[0]}")["value"]


def test_every_setting_is_described_with_its_default() -> None:
    said = {
        coded(row[0])[0]: default_in(row[1])
        for row in rows(section(page("gateway.md"), "## Configuration reference"))[1:]
    }
    known = {
        key: int(value) if isinstance(value, Decimal) else value for key, value in settings_keys(Settings)
    }
    assert said == known
    assert len(known) > 25


# The simulator's blocks are scripts of faults.
@pytest.mark.parametrize("path", [path for path in PAGES if path.name != "simulator.md"], ids=name_of)
def test_settings_in_examples_are_settings(path: Path) -> None:
    for block in blocks(path, "toml"):
        settings = Settings.model_validate(tomllib.loads(block))
        assert settings.model_fields_set, block


# -- what is kept --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", sorted(COLUMNS))
def test_every_column_is_described(table: str) -> None:
    text = section(page("telemetry.md"), f"### {table}")
    if table == "events":
        text = text.partition("| kind | when |")[0]
    assert [coded(row[0])[0] for row in rows(text)[1:]] == list(COLUMNS[table])


def test_every_kind_of_event_is_described() -> None:
    text = section(page("telemetry.md"), "### events").partition("| kind | when |")[2]
    written = {
        word
        for path in SOURCES
        for word in re.findall(
            r'"((?:spool|export|cache|circuit|credential|probe|queue)\.(?!json|html)[a-z_]+|gateway\.state)"',
            path.read_text("utf-8"),
        )
    }
    assert {kind for row in rows(text) for kind in coded(row[0])} == written


def test_every_metric_is_described() -> None:
    metrics = Metrics()
    rendered = metrics.render(spool_bytes=1, spool_refused=0).decode()
    names = set(re.findall(r"^# TYPE (\S+) ", rendered, re.MULTILINE))
    said = {name for row in rows(section(page("gateway.md"), "## Metrics"))[1:] for name in coded(row[0])}
    assert said == names


def test_what_an_app_can_say_are_columns_that_a_call_has() -> None:
    table = rows(section(page("gateway.md"), "## What an app can say"))[1:]
    columns = {word for row in table for word in coded(row[1]) if re.fullmatch(r"[a-z_]+", word)}
    assert columns
    assert columns <= set(Call.__struct_fields__)


# -- errors --------------------------------------------------------------------------------------------------------


def texts_in(node: ast.AST) -> set[str]:
    return {
        inner.value
        for inner in ast.walk(node)
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str)
    }


def codes_in(path: Path) -> Iterator[tuple[str, str]]:
    """Each error code that a module gives, with the class it is given to ("" where that isn't plain)."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            owner = getattr(node.func, "id", "")
            for keyword in node.keywords:
                if keyword.arg == "code" and isinstance(keyword.value, ast.Constant):
                    yield str(keyword.value.value), owner
        elif isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                names = [getattr(each, "id", "") for each in target.elts]
                if names[:1] == ["code"]:
                    yield from ((code, "") for code in texts_in(value.elts[0]))
            elif getattr(target, "id", "") == "code":
                branches = [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]
                yield from (
                    (branch.value, "")
                    for branch in branches
                    if isinstance(branch, ast.Constant) and isinstance(branch.value, str)
                )


def error_codes() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for path in SOURCES:
        if path.relative_to(ROOT / "src" / "ratchet").parts[0] in UNSEEN:
            continue
        for code, owner in codes_in(path):
            found.setdefault(code, set()).add(owner)
    return found


def error_tables() -> list[tuple[str, str, str]]:
    """Place, code and status of each line in the tables of errors."""
    studio = page("api.md").partition("## Studio")[2].partition("### ")[0]
    tables = {
        "gateway": section(page("gateway.md"), "## Errors"),
        "studio": studio,
        "processes": section(page("api.md"), "## Errors of the command line and the processes"),
    }
    return [
        (place, code, row[1])
        for place, text in tables.items()
        for row in rows(text)
        for code in coded(row[0])
    ]


def test_every_error_code_is_described_and_no_other_is() -> None:
    assert {code for _, code, _ in error_tables()} == set(error_codes())


def test_the_statuses_of_errors_are_right() -> None:
    codes = error_codes()
    by_class = {
        each.__dict__["code"]: each.status
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, errors.RatchetError) and "code" in each.__dict__
    }
    checked = 0
    for place, code, said in error_tables():
        if place == "processes" or not said.isdigit():
            continue
        owners = [
            getattr(errors, owner) for owner in codes[code] if isinstance(getattr(errors, owner, None), type)
        ]
        statuses = {owner.status for owner in owners} | ({by_class[code]} if code in by_class else set())
        assert not statuses or int(said) in statuses, (place, code)
        checked += bool(statuses)
    assert checked > 30


# -- words ---------------------------------------------------------------------------------------------------------


def glossary() -> set[str]:
    """Every place that the glossary's last column names."""
    return {
        word
        for heading in re.findall(r"^## .*$", page("concepts.md"), re.MULTILINE)
        for row in rows(section(page("concepts.md"), heading))[1:]
        for word in coded(row[2])
    }


def test_every_noun_of_the_command_line_is_in_the_glossary() -> None:
    nouns = {f"ratchet {name}" for name in COMMANDS} - {"ratchet demo"}
    assert nouns - glossary() == set()


def test_every_table_is_in_the_glossary() -> None:
    assert (set(COLUMNS) | set(records.metadata.tables)) - glossary() == set()


def test_every_noun_of_an_address_is_in_the_glossary() -> None:
    known = glossary()
    paths = {request.split()[1] for request in gateway_requests()} | {
        each.path for each in ENDPOINTS if each.path.startswith("/api/") or each.path == "/healthz"
    }
    nouns = {
        re.sub(
            r"/\{(trace_id|session_id|user_id|organisation_id|key_id|standing_id|run_id|email|name)\}(/token|/link|/try|/cancel|/cases|/downsize)?$",
            "",
            path,
        )
        for path in paths
    }
    assert nouns - known == set()


def test_a_word_of_the_glossary_is_explained_once() -> None:
    words = [
        row[0]
        for heading in re.findall(r"^## .*$", page("concepts.md"), re.MULTILINE)
        for row in rows(section(page("concepts.md"), heading))[1:]
    ]
    assert len(words) > 30
    assert sorted(words) == sorted(set(words))


# -- links and examples --------------------------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), f"{target} in {name_of(path)}"
        if anchor:
            assert anchor in anchors(there), f"{target} in {name_of(path)}"


def test_every_document_is_reachable_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        here = waiting.pop()
        if here in reached:
            continue
        reached.add(here)
        for target in re.findall(r"\]\(([^)\s#]+)", here.read_text("utf-8")):
            there = (here.parent / target).resolve()
            if "://" not in target and there.exists():
                waiting += sorted(there.glob("*.md")) if there.is_dir() else [there] * (there.suffix == ".md")
    assert set(PAGES) - reached == set()


def test_files_that_the_documents_name_exist() -> None:
    for path in PAGES:
        text = path.read_text("utf-8")
        for word in coded(text):
            if re.fullmatch(r"(src|tests|prove|bench|docs)/[\w./-]+\.(py|md|toml)", word):
                assert (ROOT / word).exists(), f"{word} in {name_of(path)}"


def test_the_readmes_tree_is_the_packages() -> None:
    tree = section((ROOT / "README.md").read_text("utf-8"), "## Where things are")
    said = re.findall(r"^  ([\w.]+?)/? ", tree, re.MULTILINE)
    there = {
        path.name for path in (ROOT / "src" / "ratchet").iterdir() if path.is_dir() or path.suffix == ".py"
    }
    assert set(said) == there - {"__init__.py", "__main__.py", "__pycache__"}


def test_the_makefiles_targets_that_the_readme_names_exist() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    named = set(re.findall(r"(?:^|`)make (\w+)", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE))
    assert named == {"demo", "setup", "test", "check", "prove", "bench"}
    assert [target for target in named if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_json_examples_are_json(path: Path) -> None:
    for block in blocks(path, "json"):
        assert json.loads(block)


def snippets() -> list[Any]:
    return [
        pytest.param(block, id=f"{path.stem}-{number}")
        for path in GUIDES
        for number, block in enumerate(blocks(path, "python"))
    ]


@pytest.mark.parametrize("snippet", snippets())
async def test_python_examples_run(gateway: RunningGateway, snippet: str) -> None:
    addressed = snippet.replace("http://127.0.0.1:8080", gateway.url).replace("rk-your-key", gateway.key)
    assert gateway.url in addressed
    assert gateway.key in addressed
    await asyncio.to_thread(exec, compile(addressed, "<example>", "exec"), {})
    (call,) = gateway.calls()
    assert (call.route, call.status) == ("support", "ok")
    if "metadata" in snippet:
        assert (call.user_id, call.session_id, call.organisation_id) == ("ada", "s-1", "acme")
    others = len(gateway.recorded()) - 1
    assert others == ("/feedback" in snippet or "OTLPSpanExporter" in snippet)


# -- what no file says ---------------------------------------------------------------------------------------------

HOSTS = r"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|deb\.debian\.org|conda\.anaconda|githubusercontent\.com|huggingface\.co|proxy\.golang"
MAKERS = r"claude code|copilot|co-authored-by|(?:written|generated|made) (?:by|with) (?:an? )?(?:ai|llm|assistant|agent)\b|\bas an ai\b"
PLACES = r"/work/(?:main|shared)|/tmp/boot|\bissue #?\d"


def text_files() -> Iterator[Path]:
    waiting = [ROOT]
    while waiting:
        for path in sorted(waiting.pop().iterdir()):
            if path.name in MADE or path.name.endswith("_cache") or path.is_symlink():
                continue
            if path.is_dir():
                waiting.append(path)
            elif path.suffix == ".yaml" and path.parent.parent.name == "wire":
                continue  # recordings of what models say, of themselves too
            elif path.name == "models.jsonl":
                continue  # each fact names the page that it comes from, wherever that is
            elif path != Path(__file__) and b"\0" not in path.read_bytes()[:4096]:
                yield path


def test_no_file_names_a_registry_or_speaks_of_how_it_was_made() -> None:
    pattern = re.compile(f"{HOSTS}|{MAKERS}|{PLACES}", re.IGNORECASE)
    files = list(text_files())
    assert len(files) > 200
    found = [
        f"{name_of(path)}: {match[0]}"
        for path in files
        if (match := pattern.search(path.read_text("utf-8", errors="replace")))
    ]
    assert found == []
