"""What is loaded before a command starts: a job pays for the rooms that it uses, and for no other."""

import subprocess
import sys
from pathlib import Path

import pytest

from bootstrap.launchers import LAUNCHERS
from bootstrap.platforms import PLATFORMS
from bootstrap.storage.schemes import SCHEMES

NEVER = (
    # ours: what a job without a store, an output or a failure has no use for
    *("bootstrap.diagnosis", "bootstrap.images", "bootstrap.outputs", "bootstrap.rehearsal", "bootstrap.sharing"),
    *("bootstrap.shipping.logs", "bootstrap.shipping.ending", "bootstrap.shipping.succession"),
    *("bootstrap.credentials.chain", "bootstrap.credentials.metadata", "bootstrap.credentials.places"),
    *("bootstrap.peers.session", "bootstrap.peers.server", "bootstrap.network.resolve", "bootstrap.network.interfaces"),
    *(
        "bootstrap.storage.relay",
        "bootstrap.storage.upload",
        "bootstrap.storage.s3.bucket",
        "bootstrap.storage.s3.fast",
    ),
    *("bootstrap.storage.fetch.archive", "bootstrap.storage.fetch.unpack", "bootstrap.storage.web.client"),
    *("bootstrap.commands.support.helptext", "bootstrap.launchers.auto", "bootstrap.launchers.per_device"),
    # others': each is 1 to 100 ms
    *("boto3", "botocore", "urllib3", "psutil", "netifaces", "cryptography", "yaml", "asyncio", "ssl"),
    *("socket", "shutil", "tempfile", "random", "lzma", "bz2", "difflib", "tarfile", "zipfile", "http", "email"),
    # what structlog's package loads for others, and the standard library's dataclasses (bootstrap/values.py)
    *("structlog.dev", "structlog.processors", "structlog.stdlib", "logging", "traceback", "pickle", "uuid"),
    *("dataclasses", "inspect", "ast", "tokenize", "unicodedata"),
)
MOST = {"a plain command": 138, "local code": 163}
"""Modules of ours, without rows of tables. Whoever needs more looks first for what can be loaded where it is used."""
WITHOUT_CODE = ("bootstrap.storage.transfer", "bootstrap.storage.fetch", "bootstrap.storage.model.store", "hashlib")
BEFORE_3_11 = ["ast", "inspect", "tokenize"] if sys.version_info < (3, 11) else []
"""What structlog's `typing_extensions` brings along there."""


def loaded(where: Path, *options: str) -> set[str]:
    """All modules that ``bootstrap run OPTIONS -- true`` imports."""
    places = ["--job-dir", "job", "--log-file", "log", "--run-dir", "run"]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "bootstrap", "run", *places, *options, "--", "true"],
        cwd=where,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


def ours(names: set[str]) -> list[str]:
    """Modules of ours, without those that stand in a table: a new platform, launcher or scheme is no new habit."""
    rows = {row.read.__module__ for row in PLATFORMS} | {row.plan.__module__ for row in LAUNCHERS.values()}
    schemes = {scheme.open.__module__ for scheme in SCHEMES.values()}
    return of(names - rows - schemes - {module.rpartition(".")[0] for module in schemes}, ("bootstrap",))


def of(names: set[str], rooms: tuple[str, ...]) -> list[str]:
    return sorted(name for name in names for room in rooms if name == room or name.startswith(f"{room}."))


@pytest.fixture
def code(tmp_path: Path) -> Path:
    directory = tmp_path / "code"
    directory.mkdir()
    (directory / "train.py").write_text("print('trained')\n")
    return directory


def test_a_plain_command_loads_no_room_that_it_does_not_use(tmp_path: Path) -> None:
    names = loaded(tmp_path)
    assert "bootstrap.steps.conclude" in names, "the lifecycle itself was not seen"
    assert of(names, (*NEVER, *WITHOUT_CODE)) == BEFORE_3_11
    assert len(ours(names)) <= MOST["a plain command"]


def test_local_code_loads_what_copies_it_and_nothing_of_a_remote_store(tmp_path: Path, code: Path) -> None:
    names = loaded(tmp_path, "--code", f"{code}/")
    assert "bootstrap.storage.fetch.copy_tree" in names, "nothing was copied"
    assert of(names, NEVER) == BEFORE_3_11
    assert of(names, ("bootstrap.storage.fetch.download", "bootstrap.storage.fetch.one_stream")) == []
    assert len(ours(names)) <= MOST["local code"]


COMPILES = """
import re, sys

def noted(*pattern, compile=re.compile):
    asks = sys._getframe(1)
    if asks.f_code.co_name == "<module>" and asks.f_globals["__name__"].startswith("bootstrap."):
        print(asks.f_globals["__name__"], pattern)
    return compile(*pattern)

re.compile = noted
import bootstrap.commands.run, bootstrap.lifecycle, bootstrap.storage.transfer
"""


def test_no_module_that_a_start_loads_compiles_a_pattern_at_import() -> None:
    """:mod:`bootstrap.ground.patterns` is for that."""
    done = subprocess.run([sys.executable, "-c", COMPILES], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_a_command_that_fails_loads_what_explains_it(tmp_path: Path) -> None:
    """The other side: what is left for later comes when it is needed."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "bootstrap", "run", "--log-file", "log", "--", "false"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1, done.stderr[-2000:]
    assert "bootstrap.diagnosis.explain" in done.stderr


def test_a_local_copy_loads_nothing_that_only_a_store_needs(tmp_path: Path, code: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "bootstrap", "copy", "-q", "-r", f"{code}/", f"{tmp_path}/to/"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0 and (tmp_path / "to" / "train.py").exists(), done.stderr[-2000:]
    lines = done.stderr.splitlines()
    names = {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}
    assert of(names, (*NEVER, "hashlib", "subprocess")) == [], "a copy has no structlog, either"
