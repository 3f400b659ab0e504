from __future__ import annotations

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
