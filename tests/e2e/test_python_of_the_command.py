"""The command's Python without a shell: virtual environments, conda's layout, and the code's own requirements."""

from __future__ import annotations

import functools
import http.server
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.job import Container

SAY = "import labthing; print('labthing', labthing.VERSION)\n"


def wheel(directory: Path, version: str = "1.0") -> Path:
    """A real wheel of a package of one line."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"labthing-{version}-py3-none-any.whl"
    info = f"labthing-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("labthing.py", f"VERSION = '{version}'\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: labthing\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"labthing.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A code directory whose program needs a package that the image has not."""
    directory = tmp_path / "src/proj"
    directory.mkdir(parents=True)
    (directory / "train.py").write_text(SAY)
    wheel(directory / "wheels")
    (directory / "requirements.txt").write_text("./wheels/labthing-1.0-py3-none-any.whl\n")
    return directory


def run(container: Container, code: Path, *words: str, **environ: str):  # type: ignore[no-untyped-def]
    asked = ("--code", f"{code}/", "--job-dir", str(container.work), *words)
    return container.run(*asked, "--", "python", "proj/train.py", environ=environ)


def test_the_requirements_of_the_code_are_there_when_asked_for(container: Container, code: Path) -> None:
    refused = run(container, code)
    assert refused.code == 1 and b"No module named 'labthing'" in refused.stdout
    installed = run(container, code, "--requirements")
    assert installed.code == 0, installed.stderr
    assert b"labthing 1.0\n" in installed.stdout
    assert installed.record["requirements"]["seconds"] > 0
    assert "installed requirements.txt" in installed.stderr


def test_they_are_installed_once_for_their_content(container: Container, code: Path) -> None:
    assert run(container, code, "--requirements").code == 0
    again = run(container, code, "--requirements")
    assert again.code == 0 and "is installed already" in again.stderr
    wheel(code / "wheels", "2.0")
    (code / "requirements.txt").write_text("./wheels/labthing-2.0-py3-none-any.whl\n")
    assert b"labthing 2.0\n" in run(container, code, "--requirements").stdout


def test_the_platforms_spelling_comes_first(container: Container, code: Path) -> None:
    wheel(code / "wheels", "3.0")
    (code / "pip-requirements.txt").write_text("./wheels/labthing-3.0-py3-none-any.whl\n")
    assert b"labthing 3.0\n" in run(container, code, "--requirements").stdout


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """A package index on this machine, as MA_PIP_URL names one."""
    wheel(tmp_path / "index/labthing", "4.0")
    page = '<a href="labthing-4.0-py3-none-any.whl">labthing-4.0-py3-none-any.whl</a>'
    (tmp_path / "index/labthing/index.html").write_text(page)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "index"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def test_the_platforms_package_index_is_used(container: Container, code: Path, index: str) -> None:
    (code / "requirements.txt").write_text("labthing==4.0\n")
    result = run(container, code, "--requirements", MA_PIP_URL=index, MA_PIP_HOST="127.0.0.1")
    assert result.code == 0, result.stderr
    assert b"labthing 4.0\n" in result.stdout


def test_without_a_network_the_job_says_so(container: Container, code: Path) -> None:
    (code / "requirements.txt").write_text("labthing==5.0\n")
    result = run(container, code, "--requirements", MA_PIP_URL="http://127.0.0.1:1/", PIP_RETRIES="1")
    assert result.failure == (118, "requirements-failed")
    assert "the package index cannot be reached" in result.stderr
    assert "PIP_INDEX_URL" in result.stderr


def test_an_earlier_attempt_without_a_network_is_not_told_again(container: Container, code: Path, index: str) -> None:
    (code / "requirements.txt").write_text("labthing==5.0\n")
    first = run(container, code, "--requirements", MA_PIP_URL="http://127.0.0.1:1/", PIP_RETRIES="1")
    second = run(container, code, "--requirements", MA_PIP_URL=index, MA_PIP_HOST="127.0.0.1")
    assert first.failure == second.failure == (118, "requirements-failed")
    assert "No matching distribution" in second.stderr and "cannot be reached" not in second.stderr


def test_code_without_requirements_is_no_failure(container: Container, code: Path) -> None:
    (code / "requirements.txt").unlink()
    (code / "train.py").write_text("")
    result = run(container, code, "--requirements")
    assert result.code == 0 and "there is none of pip-requirements.txt" in result.stderr


def test_the_commands_python_is_the_virtual_environments(container: Container, code: Path, tmp_path: Path) -> None:
    made = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", str(made)], check=True)
    (code / "train.py").write_text(f"import sys\nprint(sys.prefix)\n{SAY}")
    result = run(container, code, "--venv", str(made), "--requirements")
    assert result.code == 0, result.stderr
    assert result.stdout.decode().splitlines() == [str(made), "labthing 1.0"]
    assert result.record["python"] == str(made)
    direct = subprocess.run([made / "bin/python", "-c", SAY], capture_output=True, text=True)
    assert direct.stdout == "labthing 1.0\n", "they go into the environment itself"


def test_a_conda_environment_is_activated_with_its_hooks(container: Container, tmp_path: Path) -> None:
    prefix = container.home / "miniconda3/envs/train"
    for part in ("conda-meta", "bin", "etc/conda/activate.d"):
        (prefix / part).mkdir(parents=True)
    (container.home / "miniconda3/conda-meta").mkdir()
    (prefix / "bin/which-env").write_text("#!/bin/sh\necho $CONDA_DEFAULT_ENV $HOOKED\n")
    (prefix / "bin/which-env").chmod(0o755)
    (prefix / "etc/conda/activate.d/hook.sh").write_text("export HOOKED=yes\n")
    result = container.run("--conda-env", "train", "--", "which-env")
    assert (result.code, result.stdout) == (0, b"train yes\n"), result.stderr


def test_an_environment_that_is_not_there_is_named_before_anything_runs(container: Container) -> None:
    result = container.run("--venv", "/no/such", "--", "python", "-c", "print('ran')")
    assert result.failure == (101, "usage")
    assert b"ran" not in result.stdout and "/no/such/bin/python is absent" in result.stderr


def test_a_hook_that_hangs_does_not_outlast_a_stop(container: Container) -> None:
    prefix = container.home / "envs/slow"
    for part in ("conda-meta", "bin", "etc/conda/activate.d"):
        (prefix / part).mkdir(parents=True)
    (prefix / "etc/conda/activate.d/hook.sh").write_text(f"touch {container.tmp}/hooked; sleep 300\n")
    with container.running("--conda-env", str(prefix), "--", "true") as process:
        container.wait_for(container.tmp / "hooked")
        process.terminate()
        result = container.finish(process)
    assert result.code == 143
    assert "stopped in step launch, before the command" in result.stderr
