from __future__ import annotations

from pathlib import Path

from tests.e2e.conftest import Remote
from tests.e2e.job import Container


def test_a_job_records_its_links_and_the_next_one_has_them_again(container: Container, plain_remote: Remote) -> None:
    bucket = plain_remote.bucket
    environ = {**plain_remote.env, "BOOTSTRAP_LINKS": "record"}
    make = "mkdir out/ckpt-1; echo w > out/ckpt-1/w; ln -s ckpt-1 out/latest"
    result = container.run("--output", f"out={bucket.url('o/')}", "--", "sh", "-c", make, environ=environ)
    assert result.code == 0, result.stderr
    assert bucket.results("o/") == {"ckpt-1/w": b"w\n", "latest.rclonelink": b"ckpt-1"}
    show = "readlink resume/latest; cat resume/latest/w"
    result = container.run("--input", f"resume={bucket.url('o/')}", "--", "sh", "-c", show, environ=environ)
    assert result.code == 0, result.stderr
    assert result.stdout == b"ckpt-1\nw\n"


def test_a_link_that_leads_out_of_an_output_was_ordered_and_is_not_delivered(
    container: Container, plain_remote: Remote
) -> None:
    out = ("--output", f"out={plain_remote.bucket.url('o/')}")
    make = ("--", "sh", "-c", "mkdir -p cache; echo w > cache/best.pt; ln -sf $PWD/cache/best.pt out/best.pt")
    result = container.run(*out, *make, environ=plain_remote.env)
    assert result.code == 206
    assert f"{container.work}/out/best.pt: a link that leads out of the tree" in result.stderr
    assert container.run(*out, "--links", "all", *make, environ=plain_remote.env).code == 0
    assert plain_remote.bucket.results("o/") == {"best.pt": b"w\n"}
    assert container.run(*out, "--links", "skip", *make, environ=plain_remote.env).code == 0


def test_what_cannot_be_sent_is_named_on_the_console_and_in_the_record(container: Container, tmp_path: Path) -> None:
    """A pipe, a link to what is gone (a blob of a Hugging Face snapshot, say), a link that leads in a ring."""
    make = "mkfifo out/pipe; ln -s ../blobs/gone out/model.safetensors; ln -s . out/ring; mkdir out/.bootstrap; echo x"
    result = container.run("--output", f"out={tmp_path}/to", "--", "sh", "-c", f"{make} > out/.bootstrap/mine")
    assert result.code == 206, result.stderr
    (delivered,) = result.record["delivered"]
    assert {name for name, _ in delivered["left_out"]} == {"pipe", "model.safetensors", "ring"}
    for name in ("pipe", "model.safetensors", "ring"):
        assert f"left out: {container.work}/out/{name}: " in result.stderr
    assert [one["path"] for one in delivered["undelivered"]] == [".bootstrap/mine"]


def test_an_output_of_nothing_but_links_to_nothing_is_empty(container: Container, tmp_path: Path) -> None:
    make = ("--", "sh", "-c", "ln -s /nowhere/best.pt out/best.pt")
    result = container.run("--require-outputs", "--output", f"out={tmp_path}/to", *make)
    assert result.code == 206 and "an output is empty" in result.stderr
