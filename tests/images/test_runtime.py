"""The runtime disturbs nothing in an image, is disturbed by nothing, and needs nothing of it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.images.conftest import Workshop, settings
from tests.lab.containers import Engine
from tests.lab.stores import Bucket, Store
from tests.lab.strict_proxy import Obs
from tests.lab.tls import Authority

pytestmark = [pytest.mark.container, pytest.mark.timeout(3600)]  # the first one compiles a Python

TRAIN = """#!/bin/sh
mkdir -p "$BOOTSTRAP_OUTPUT_DIR"
echo "weights" > "$BOOTSTRAP_OUTPUT_DIR/model.bin"
"""


@pytest.fixture
def bucket(seaweedfs: Store) -> Bucket:
    bucket = seaweedfs.make_bucket()
    bucket.put("proj/code/train.sh", TRAIN)
    return bucket


def test_threads_start_although_clone3_is_refused(
    containers: Engine, bullseye: str, with_python: str, without_clone3: str
) -> None:
    script = "import threading; t = threading.Thread(target=print, args=('a thread',)); t.start(); t.join()"
    ours = ["--entrypoint=/opt/bootstrap/bin/python3", without_clone3]
    ran = containers.run(bullseye, "-I", "-c", script, options=ours)
    assert (ran.returncode, ran.stdout) == (0, "a thread\n"), ran.stderr
    newer = containers.run(with_python, "python3", "-c", script, options=[without_clone3])
    assert "can't start new thread" in newer.stderr, "the profile must be one that newer glibc stumbles over"


def test_the_command_is_run_by_the_images_own_python(
    containers: Engine, old_python: str, bucket: Bucket, tmp_path: Path
) -> None:
    bucket.put("proj/code/train.py", "import sys, json, threading; print(sys.version_info[:2], sys.prefix)\n")
    ran = containers.run(old_python, "python", "code/train.py", env=settings(bucket), network="host")
    assert ran.returncode == 0, ran.stderr
    version, prefix = ran.stdout.rsplit(" ", 1)
    assert prefix.strip() in ("/usr", "/usr/local")
    assert version in ("(3, 6)", "(3, 7)", "(3, 8)", "(3, 9)")


def test_nothing_of_ours_reaches_the_command(containers: Engine, bullseye: str) -> None:
    before = containers.run(bullseye, "-c", "env -0", options=["--entrypoint=/bin/sh"]).stdout.split("\0")
    after = containers.run(bullseye, "sh", "-c", "env -0").stdout.split("\0")
    known = {"HOSTNAME", "PWD", "_", "SHLVL"}
    old = {item.split("=", 1)[0] for item in before if item} - known
    new = {item.split("=", 1)[0]: item for item in after if item}
    assert old <= new.keys()
    added = sorted(name for name in new.keys() - old - known if not name.startswith(("BOOTSTRAP_", "_STDBUF_")))
    assert added == ["MASTER_ADDR", "NNODES", "NODE_RANK", "PET_LOG_DIR", "PYTHONPATH", "PYTHONUNBUFFERED"]
    assert "/opt/bootstrap" not in "".join(after)
    assert "LD_PRELOAD" not in new, "what is preloaded into a script slows down all that it starts"


HOSTILE = {
    "PYTHONHOME": "/nowhere",
    "PYTHONPATH": "/hostile",
    "PYTHONSTARTUP": "/hostile/start.py",
    "PYTHONWARNINGS": "error",
    "LD_LIBRARY_PATH": "/hostile",
    "LD_PRELOAD": "/hostile/libc.so.6",
    "LD_BIND_NOW": "1",
    "GCONV_PATH": "/hostile",
    "LOCPATH": "/hostile",
    "LC_ALL": "de_DE.UTF-8",
    "MALLOC_ARENA_MAX": "2",
    "OPENSSL_CONF": "/hostile/openssl.cnf",
}


def test_a_hostile_environment_reaches_the_command_and_not_us(
    containers: Engine, bullseye: str, bucket: Bucket, tmp_path: Path
) -> None:
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    for name in (
        "encodings.py",
        "bootstrap.py",
        "os.py",
        "sitecustomize.py",
        "libssl.so.1.1",
        "libm.so.6",
        "libc.so.6",
    ):
        (hostile / name).write_text("raise SystemExit('hostile')\n")
    (hostile / "openssl.cnf").write_text("openssl_conf = x\n[x]\nproviders = nowhere\n")
    ran = containers.run(
        bullseye, "/opt/bootstrap/bin/python3", "-I", "-c",
        "import json, os; print(json.dumps(dict(os.environ)))",
        env={**settings(bucket), **HOSTILE, "LD_PRELOAD": "", "LD_LIBRARY_PATH": "/hostile"},
        mounts={hostile: "/hostile"}, network="host",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout)
    expected = {**HOSTILE, "LD_PRELOAD": "", "PYTHONPATH": "/tmp/job:/hostile"}
    assert {name: seen.get(name) for name in expected} == expected
    # A library of another libc would be loaded into every program, and break it: here the image's own commands too.
    ran = containers.run(
        bullseye, "--version", env={"LD_PRELOAD": "/hostile/libc.so.6"}, mounts={hostile: "/hostile"},
        options=["--entrypoint=/opt/bootstrap/bin/bootstrap"],
    )  # fmt: skip
    assert ran.returncode == 0
    assert ran.stderr == ""


def test_https_and_names_work_without_anything_of_the_image(
    containers: Engine, busybox: str, obs_tls: Obs, authority: Authority
) -> None:
    bucket = obs_tls.make_bucket()
    bucket.put("proj/code/train.sh", TRAIN)
    environ = {**settings(bucket), **obs_tls.env(), "AWS_CA_BUNDLE": "/ca.pem"}
    ran = containers.run(
        busybox, "sh", "code/train.sh", env=environ, network="host", mounts={authority.bundle: "/ca.pem"},
        hosts={name: "127.0.0.1" for name in obs_tls.names()},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert bucket.results("models/") == {"model.bin": b"weights\n"}


def test_certificate_authorities_come_with_us(containers: Engine, busybox: str) -> None:
    script = (
        "from bootstrap.storage.common.way import tls_context\n"
        "print(tls_context(verify=True, ca_bundle='').cert_store_stats()['x509_ca'])"
    )
    ran = containers.run(busybox, "-I", "-c", script, options=["--entrypoint=/opt/bootstrap/bin/python3"])
    assert int(ran.stdout) > 50, ran.stderr


def test_the_image_is_small_and_holds_nothing_but_its_tree(workshop: Workshop, runtime: str) -> None:
    engine = workshop.engine
    root = Path(engine.podman("image", "mount", runtime).stdout.strip())
    try:
        assert sorted(path.name for path in root.iterdir()) == ["opt", "usr"]
        assert [path.name for path in (root / "opt").iterdir()] == ["bootstrap"]
        assert [str(path.relative_to(root)) for path in (root / "usr").rglob("*") if not path.is_dir()] == [
            "usr/local/bin/bootstrap"
        ]
        assert os.readlink(root / "usr/local/bin/bootstrap") == "/opt/bootstrap/bin/bootstrap"
        assert [path.name for path in (root / "opt/bootstrap/command").iterdir()] == ["bootstrap"]
        files = [path for path in root.rglob("*") if not path.is_symlink()]
        assert sum(path.stat().st_blocks * 512 for path in files) < 64 * 10**6
        assert not [path for path in files if path.stat().st_mode & 0o6022], "no setuid, nobody else may write"
        assert not [path for path in files if path.suffix == ".py" and not compiled(path)]
    finally:
        engine.podman("image", "unmount", runtime)


def compiled(source: Path) -> bool:
    return (
        source.name == "entry.py"
        or source.parent.name == "scripts"
        or any((source.parent / "__pycache__").glob(f"{source.stem}.cpython-*.pyc"))
    )
