"""docs/architecture.md says that a new platform, launcher or subcommand is one file and one line in a table: the
tables, read. Those of schemes are read in ``storage/test_schemes.py``.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import bootstrap
from bootstrap.cli import COMMANDS
from bootstrap.diagnosis.rules import RULES
from bootstrap.launchers import AUTO, LAUNCHERS
from bootstrap.platforms import PLATFORMS

PACKAGE = Path(bootstrap.__file__).parent
DOCS = PACKAGE.parent / "docs"


def modules(folder: str, *functions: str) -> dict[str, object]:
    """The modules of a folder that have these functions, by name."""
    names = [path.stem for path in (PACKAGE / folder).glob("*.py") if path.stem != "__init__"]
    found = {name: import_module(f"bootstrap.{folder.replace('/', '.')}.{name}") for name in sorted(names)}
    return {name: module for name, module in found.items() if all(hasattr(module, one) for one in functions)}


def test_every_file_of_a_platform_has_its_row_and_every_row_its_file() -> None:
    files = modules("platforms", "NAME", "recognise", "read")
    rows = {row.recognise.__module__.rpartition(".")[2]: row for row in PLATFORMS}
    assert rows.keys() == files.keys()
    for name, row in rows.items():
        assert row.name == vars(files[name])["NAME"]
    assert len({row.name for row in PLATFORMS}) == len(PLATFORMS)


def test_every_file_of_an_engine_has_its_row_and_every_row_its_file() -> None:
    files = modules("launchers/engines", "plan")
    assert {row.plan.__module__.rpartition(".")[2] for row in LAUNCHERS.values()} == files.keys()
    assert {name: row.name for name, row in LAUNCHERS.items()} == {name: name for name in LAUNCHERS}
    packages = [package for row in LAUNCHERS.values() for package in row.imports]
    assert len(packages) == len(set(packages)), "an import means one engine"


def test_the_page_about_clusters_has_every_launcher() -> None:
    table = (DOCS / "cluster.md").read_text().partition("| launcher |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == {AUTO, *LAUNCHERS}


def test_every_file_of_a_subcommand_has_its_line_and_every_line_its_file() -> None:
    assert {name.replace("_", "-") for name in modules("commands", "add_arguments", "main")} == set(COMMANDS)


def test_every_file_of_rules_is_in_the_table_of_rules() -> None:
    files = modules("diagnosis/rules", "RULES")
    assert files
    for module in files.values():
        for rule in vars(module)["RULES"]:
            assert rule in RULES
    assert len({id(rule) for rule in RULES}) == sum(len(vars(module)["RULES"]) for module in files.values())


def test_nothing_outside_its_own_room_knows_a_platform_or_a_launcher_by_name() -> None:
    """The names as words of code: a table elsewhere would be one more place to touch."""
    names = "|".join([row.name for row in PLATFORMS] + [name for name in LAUNCHERS if name != "direct"])
    # An image is made for a platform, which its file names; a manifest names Volcano's scheduler; rules and layouts of
    # checkpoints name packages.
    allowed = {"platforms", "launchers", "images", "rehearsal", "diagnosis", "outputs"}
    found = {}
    for path in PACKAGE.rglob("*.py"):
        inside = path.relative_to(PACKAGE)
        if inside.parts[0] not in allowed and (
            seen := re.findall(rf"(?<!example=)[\"']({names})[\"']", path.read_text())
        ):
            found[str(inside)] = seen
    assert not found
