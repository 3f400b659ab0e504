"""Real places for keys to be in: small executables as tools, files that somebody renews, a log to be read back."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bootstrap.credentials.find import Keyring, find
from bootstrap.masking.registry import Secrets
from tests.credentials.scene import scene as scene
from tests.e2e.job import Container


@dataclass
class Notebook:
    """A Log that keeps what it is told, as (level, text with its facts)."""

    lines: list[tuple[str, str]] = field(default_factory=list)

    def _note(self, level: str, event: str, facts: dict[str, object]) -> None:
        self.lines.append((level, " ".join([event, *(f"{key}={value}" for key, value in facts.items())])))

    def debug(self, event: str, **facts: object) -> None:
        self._note("debug", event, facts)

    def info(self, event: str, **facts: object) -> None:
        self._note("info", event, facts)

    def warning(self, event: str, **facts: object) -> None:
        self._note("warning", event, facts)

    def error(self, event: str, **facts: object) -> None:
        self._note("error", event, facts)

    def warnings(self) -> list[str]:
        return [text for level, text in self.lines if level == "warning"]

    def __str__(self) -> str:
        return "\n".join(text for _, text in self.lines)


@pytest.fixture
def log() -> Notebook:
    return Notebook()


@pytest.fixture
def secrets() -> Secrets:
    return Secrets()


@pytest.fixture
def tool(tmp_path: Path) -> Callable[[str, str], str]:
    """Write an executable of this name in a directory of its own; returns that directory, to be the PATH."""

    def write(name: str, body: str) -> str:
        directory = tmp_path / "tools"
        directory.mkdir(exist_ok=True)
        path = directory / name
        path.write_text(f"#!{Path(sys.executable).resolve()} -IS\n{textwrap.dedent(body)}")
        path.chmod(0o755)
        return str(directory)

    return write


@pytest.fixture
def seek(secrets: Secrets, log: Notebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Keyring]:
    """``find`` on a machine that has nothing of its own: no /run/secrets, and an empty home for boto3's chain."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)

    def seek(environ: dict[str, str] | None = None, **options: str) -> Keyring:
        return find(environ or {}, secrets=secrets, log=log, **{"secrets_dir": str(tmp_path / "no-secrets"), **options})

    return seek


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path / "container")
