"""What docs/architecture.md says of the house, checked: rooms of a size, no circles, one file and one line to add."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "bootstrap"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}
MOST_FILES = 15
A_LIST_BY_NATURE = {PACKAGE / "commands"}  # one small file a subcommand
ONE_ROLE = {"Answer", "CopyBody"}  # what a protocol names, and each kind of store has its own of


@cache
def parsed(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


def imports(module: str) -> Iterator[str]:
    """Modules of ours that ``module`` imports anywhere, in functions and for type checking too."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(parsed(module)):
        if not isinstance(node, ast.ImportFrom):
            continue
        base = node.module or ""
        if node.level:
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, *([node.module] if node.module else [])])
        for name in node.names:
            full = f"{base}.{name.name}"
            found = full if full in MODULES else base
            if found in MODULES and found != module:
                yield found


def circles() -> list[list[str]]:
    """Sets of modules that import each other (Tarjan's strongly connected components of more than one)."""
    graph = {module: set(imports(module)) for module in MODULES}
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in graph[module]:
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            part = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(part) > 1:
                found.append(sorted(part))

    for module in graph:
        if module not in index:
            visit(module)
    return found


def test_no_modules_import_each_other_not_even_for_type_checking() -> None:
    assert circles() == []


def test_no_folder_has_more_files_than_a_reader_takes_in() -> None:
    crowded = {}
    for directory in {path.parent for path in MODULES.values()} - A_LIST_BY_NATURE:
        files = [path.name for path in directory.glob("*.py") if path.name != "__init__.py"]
        if len(files) > MOST_FILES:
            crowded[str(directory.relative_to(ROOT))] = len(files)
    assert crowded == {}


def test_imports_inside_the_package_are_relative() -> None:
    absolute = [
        f"{module}:{node.lineno}"
        for module in MODULES
        for node in ast.walk(parsed(module))
        if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").partition(".")[0] == "bootstrap"
    ]
    assert absolute == []


def test_a_name_means_one_thing() -> None:
    """A reader who searches for a class finds one. A name that is used in its own file only begins with ``_``."""
    where: dict[str, list[str]] = {}
    for module in MODULES:
        for node in parsed(module).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and node.name not in ONE_ROLE:
                where.setdefault(node.name, []).append(module)
    assert {name: modules for name, modules in where.items() if len(modules) > 1} == {}


@pytest.mark.parametrize("page", ["docs/architecture.md", "docs/development.md", "CONTRIBUTING.md", "README.md"])
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    text = (ROOT / page).read_text()
    named = set(re.findall(r"`((?:bootstrap/|tests/|docs/|scripts/)?[\w./-]+\.(?:py|md|sh|toml))`", text))
    named |= {link for link in re.findall(r"\]\(([\w./-]+\.md)\)", text)}
    places = (ROOT, PACKAGE, (ROOT / page).parent)
    rooms = ("bootstrap", "tests", "scripts", "docs", "docker", "benchmarks")
    bare = {path.name for room in rooms for path in (ROOT / room).rglob("*")}
    missing = sorted(name for name in named - bare if not any((place / name).exists() for place in places))
    assert [name for name in missing if "NAME" not in name and "CLASS" not in name] == []


ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()


def section(title: str) -> str:
    return ARCHITECTURE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_function_that_the_page_of_the_house_names_is_there() -> None:
    """``Class.method`` anywhere; ``room/module.function`` and ``module.function`` as a module has it."""
    members: dict[str, set[str]] = {}  # of classes by their name, of modules by the end of their path
    for module in MODULES:
        for node in parsed(module).body:
            if isinstance(node, ast.ClassDef):
                own = {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
                members.setdefault(node.name, set()).update(own)
        public = {node.name for node in parsed(module).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        members.setdefault(module.rpartition(".")[2], set()).update(public)
    named = re.findall(r"`(?:[\w/]+[/.])?(\w+)\.(\w+)`", ARCHITECTURE)
    files = ("py", "md", "toml", "json", "jsonl")
    assert [f"{owner}.{name}" for owner, name in named if name not in files if name not in members.get(owner, ())] == []


def test_the_page_of_the_house_has_every_room() -> None:
    told = section("Rooms and arrows")
    rooms = {path.name + "/" * path.is_dir() for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    rooms -= {"__init__.py", "__pycache__/"}
    assert sorted(room for room in rooms if f"`{room}`" not in told) == []


def test_the_page_of_the_house_has_the_layers_of_storage_as_the_contract_has_them() -> None:
    contract = (ROOT / "pyproject.toml").read_text().partition('containers = ["bootstrap.storage"]')[2]
    layers = re.findall(r'^ {4}"(.+)",$', contract.partition("]")[0], re.MULTILINE)
    row = section("Rooms and arrows").partition("| `storage/` | `")[2].partition("`")[0]
    assert row.replace("\\|", "|").split(" > ") == layers


def test_the_page_of_the_house_has_every_thread() -> None:
    """``transfer-N`` in its tables is ``f"transfer-{number}"`` in the code."""
    threads = [
        (f"{module}:{node.lineno}", ast.unparse(keyword.value) if keyword else "")
        for module in MODULES
        for node in ast.walk(parsed(module))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "threading.Thread"
        for keyword in [next((one for one in node.keywords if one.arg == "name"), None)]
    ]
    assert [where for where, name in threads if not name] == [], "a thread without a name"
    made = {re.sub(r"\{.*", "*", name.lstrip("f").strip("'\"")) for _, name in threads}
    told = section("Threads")
    cells = [line.split("|")[1] for line in told.splitlines() if line.startswith("| `")] + [
        told.partition("Elsewhere:")[2].partition("\n\n")[0],
    ]
    names = {re.sub(r"[A-Z]+$", "*", name) for cell in cells for name in re.findall(r"`([a-z-]+[A-Z]*)`", cell)}
    assert made == names


def test_the_page_of_the_house_has_everybody_who_tries_again() -> None:
    told = section("Who retries what, how often, how long")
    again = re.compile(r"(?<!class )\bBackoff\(|^_(?:TRIES|ATTEMPTS|RENEWALS|LISTINGS) =", re.MULTILINE)
    somebody_elses = {"rehearsal.manifest"}  # it writes what the platform is to do
    names = {module.partition(".")[2] for module, path in MODULES.items() if again.search(path.read_text())}
    assert [
        name for name in sorted(names - somebody_elses) if not re.search(rf"\b{name.rpartition('.')[2]}\b", told)
    ] == []


def test_asserts_about_what_an_earlier_step_has_left_are_few() -> None:
    """``assert run.x is not None``: a field that is None until somebody has been there."""
    found = [
        f"{module}:{number}"
        for module, path in MODULES.items()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"\bassert run\.", line)
    ]
    assert found == []


def test_exceptions_are_not_edited_in_flight() -> None:
    """Who knows more of a failure raises another (``BootstrapError.replace``)."""
    found = [
        f"{module}:{handler.lineno}"
        for module in MODULES
        for handler in ast.walk(parsed(module))
        if isinstance(handler, ast.ExceptHandler) and handler.name
        for node in ast.walk(handler)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        if isinstance(node.value, ast.Name) and node.value.id == handler.name
    ]
    assert found == []


def test_json_of_others_is_read_in_one_way() -> None:
    """``json.loads`` raises a ``RecursionError`` for what is nested deeply, which nobody thinks of."""
    others = [path for path in (ROOT / "bootstrap").rglob("*.py") if path.name != "json_text.py"]
    assert [str(path) for path in others if re.search(r"\bjson\.loads?\(", path.read_text())] == []
