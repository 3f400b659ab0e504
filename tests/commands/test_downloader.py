"""`bootstrap downloader` does what modelarts-downloader.py was asked to do, and fails where it only seemed to work."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.commands.conftest import BOOTSTRAP, Run
from tests.lab.names import with_hosts
from tests.lab.stores import Bucket, Store
from tests.lab.strict_proxy import Obs
from tests.lab.trees import files_below


def files(root: Path) -> dict[str, bytes]:
    """The tree; the manifest that lies beside it is ours, and not in it."""
    found = files_below(root)
    return {name: content for name, content in found.items() if not name.startswith(".bootstrap-")}


@pytest.mark.parametrize("scheme", ["s3", "obs", "S3"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_directory_keeps_its_last_name(
    bootstrap: Run, bucket: Bucket, store: Store, tmp_path: Path, scheme: str, slash: str
) -> None:
    bucket.put_tree("a/code/", {"train.py": "t", "lib/x.py": "x"})
    bucket.put("a/code-of-another/y.py")
    done = bootstrap("downloader", "-r", "-s", bucket.url("a/code", scheme) + slash, "-d", "./to", env=store.env())
    assert done.returncode == 0, done.stderr.decode()
    assert files(tmp_path / "to") == {"code/train.py": b"t", "code/lib/x.py": b"x"}
    assert b"success" in done.stderr


def test_only_its_content_comes_with_the_flag_for_it(
    bootstrap: Run, bucket: Bucket, store: Store, tmp_path: Path
) -> None:
    bucket.put_tree("a/code/", {"train.py": "t", "lib/x.py": "x"})
    bootstrap("downloader", "--skip-creating-dir", "-r", "-s", bucket.url("a/code/"), "-d", "to", env=store.env())
    assert files(tmp_path / "to") == {"train.py": b"t", "lib/x.py": b"x"}


def test_a_whole_bucket_can_be_the_source(bootstrap: Run, bucket: Bucket, store: Store, tmp_path: Path) -> None:
    bucket.put("train.py", "t")
    done = bootstrap("downloader", "-r", "-s", bucket.url(), "-d", "to", "--skip-creating-dir", env=store.env())
    assert files(tmp_path / "to") == {"train.py": b"t"}, done.stderr.decode()


def test_one_object_comes_into_the_directory_and_an_archive_stays_one(
    bootstrap: Run, bucket: Bucket, store: Store, tmp_path: Path
) -> None:
    bucket.put("a/data.zip", "PK-or-not")
    done = bootstrap("downloader", "-v", "--type", "algorithm", "-s", bucket.url("a/data.zip"), "-d", "to",
                     env=store.env())  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert files(tmp_path / "to") == {"data.zip": b"PK-or-not"}


def test_a_directory_without_the_flag_for_one_is_refused(bootstrap: Run, bucket: Bucket, store: Store) -> None:
    bucket.put("a/code/train.py")
    done = bootstrap("downloader", "-s", bucket.url("a/code/"), "-d", "to", env=store.env())
    assert done.returncode == 255
    assert b"add -r" in done.stderr


def test_an_upload_replaces_what_is_there(bootstrap: Run, bucket: Bucket, store: Store, tmp_path: Path) -> None:
    bucket.put("out/model.bin", "older")
    (tmp_path / "model.bin").write_text("newer")
    done = bootstrap("downloader", "-s", "model.bin", "-d", bucket.url("out"), env=store.env())
    assert done.returncode == 0, done.stderr.decode()
    assert bucket.tree() == {"out/model.bin": b"newer"}


@pytest.mark.parametrize("source", ["out", "out/", "./out", "."])
def test_a_directory_is_uploaded_below_its_name(
    bootstrap: Run, bucket: Bucket, store: Store, tmp_path: Path, source: str
) -> None:
    (tmp_path / "out" / "sub").mkdir(parents=True)
    (tmp_path / "out" / "sub" / "m").write_text("m")
    target = bucket.url("to/")
    if source == ".":
        done = subprocess.run(
            [BOOTSTRAP, "downloader", "-s", source, "-d", target],
            env={"PATH": os.defpath, "HOME": str(tmp_path), **store.env()}, cwd=tmp_path / "out", capture_output=True,
        )  # fmt: skip
    else:
        done = bootstrap("downloader", "-r", "-s", source, "-d", target, env=store.env())
    assert done.returncode == 0, done.stderr.decode()
    assert bucket.tree()["to/out/sub/m"] == b"m"


def test_the_content_of_a_directory_is_uploaded_with_the_flag_for_it(
    bootstrap: Run, bucket: Bucket, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "m").write_text("m")
    bootstrap("downloader", "-r", "--skip-creating-dir", "-s", "out", "-d", bucket.url("to"), env=store.env())
    assert bucket.tree() == {"to/m": b"m"}


def test_traces_tell_of_an_upload_and_are_not_uploaded_themselves(
    bootstrap: Run, bucket: Bucket, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "out" / "sub").mkdir(parents=True)
    for name in ("a", "sub/b"):
        (tmp_path / "out" / name).write_text(name)
    for _ in range(2):
        done = bootstrap("downloader", "-t", "-s", "out", "-d", bucket.url("to"), env=store.env())
        assert done.returncode == 0, done.stderr.decode()
    assert bucket.tree("to/") == {"out/a": b"a", "out/sub/b": b"sub/b"}
    traces = {name: state for name, state in files(tmp_path).items() if name.endswith(".upst")}
    assert traces == dict.fromkeys(["out.upst", "out/a.upst", "out/sub/b.upst"], b"uploaded")


def test_the_trace_of_an_upload_that_failed_does_not_say_uploaded(
    bootstrap: Run, rclone: Store, tmp_path: Path
) -> None:
    (tmp_path / "m").write_text("m")
    done = bootstrap("downloader", "-t", "-s", "m", "-d", "s3://no-such-bucket-at-all/to", env=rclone.env())
    assert done.returncode == 255
    assert (tmp_path / "m.upst").read_text() == "uploading"


def test_a_place_that_takes_no_trace_is_255_too(bootstrap: Run, tmp_path: Path) -> None:
    (tmp_path / "m").write_text("m")
    (tmp_path / "m.upst").mkdir()
    done = bootstrap("downloader", "-t", "-s", "m", "-d", "s3://bucket/to")
    assert done.returncode == 255
    assert b"m.upst" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["-s", "here", "-d", "there"], "must be remote"),
        (["-s", "s3://bucket/a", "-d", "s3://bucket/b"], "must be remote"),
        (["-s", "ftp://bucket.obs.example.com/a", "-d", "."], "unknown scheme"),
        (["-s", "here", "-d", "https://bucket.obs.example.com/a"], "nothing can be delivered"),
        (["-s", "absent", "-d", "s3://bucket/b"], "nothing to upload"),
        (["-s", "s3://bucket/a", "-d", "."], "S3_ACCESS_KEY_ID"),
    ],
)
def test_whatever_goes_wrong_is_255_with_one_message(bootstrap: Run, flags: list[str], said: str) -> None:
    done = bootstrap("downloader", *flags, S3_ENDPOINT="127.0.0.1:1", S3_USE_HTTPS="0")
    assert done.returncode == 255
    assert said in done.stderr.decode()
    assert b"success" not in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_prefix_that_holds_nothing_is_255_and_names_the_nearest_that_does(
    bootstrap: Run, bucket: Bucket, store: Store
) -> None:
    bucket.put("a/code/train.py")
    done = bootstrap("downloader", "-r", "-s", bucket.url("a/cod/"), "-d", "to", env=store.env())
    assert done.returncode == 255
    assert b"a/code" in done.stderr


def test_a_store_as_strict_as_obs_takes_both_directions(obs: Obs, tmp_path: Path) -> None:
    """The old one could not: path-style addresses, and an upload in chunks that OBS refuses."""
    bucket = obs.make_bucket()
    bucket.put("a/code/train.py", "t")
    (tmp_path / "model").write_text("m")
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **obs.env()}
    for words in (["-r", "-s", bucket.url("a/code/", "obs"), "-d", "to"], ["-s", "model", "-d", bucket.url("o/")]):
        argv = [*with_hosts(tmp_path / "hosts", obs.names()), BOOTSTRAP, "downloader", *words]
        done = subprocess.run(argv, env=environ, cwd=tmp_path, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "to/code/train.py").read_text() == "t"
    assert bucket.get("o/model") == b"m"


class Silent(BaseHTTPRequestHandler):
    """A store that takes a request and never answers."""

    asked = threading.Event()
    over = threading.Event()

    def handle(self) -> None:
        self.asked.set()
        self.over.wait(60)


def test_a_stop_ends_it_at_once_with_the_signals_code(tmp_path: Path) -> None:
    server = HTTPServer(("127.0.0.1", 0), Silent)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    env = {
        "PATH": os.defpath, "HOME": str(tmp_path), "S3_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "S3_ACCESS_KEY_ID": "A" * 20, "S3_SECRET_ACCESS_KEY": "S" * 40,
    }  # fmt: skip
    child = subprocess.Popen([BOOTSTRAP, "downloader", "-r", "-s", "s3://bucket/a/", "-d", "to"], env=env, cwd=tmp_path)
    try:
        assert Silent.asked.wait(30)
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 143
    finally:
        child.kill()
        child.wait()
        Silent.over.set()
        server.shutdown()
        server.server_close()
