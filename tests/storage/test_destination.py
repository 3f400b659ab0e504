"""A destination that cannot be meant is refused, with the word that shows it."""

from __future__ import annotations

import pytest

from bootstrap.errors import UrlInvalid
from bootstrap.storage.destination import destination

PLACEHOLDERS = [
    *("$(JOB_NAME)", "${JOB_NAME}", "${JOB:-x}", "$JOB", "{{job}}", "{{ .Values.job }}", "{{workflow.name}}"),
    *("$(date +%Y/%m)", "$((1+1))", "${JOB:-/x}", "${{ job }}", "$[[ job ]]", "`hostname`", "%Y"),
    *("%JOB%", "%(job)s", "<job>", "<your bucket>", "{job}", "{% job %}"),
]


@pytest.mark.parametrize("placeholder", PLACEHOLDERS)
@pytest.mark.parametrize("around", ["obs://bucket/models/{}/", "/mnt/nas/{}", "obs://{}/models/"])
def test_a_placeholder_that_nobody_filled_in(placeholder: str, around: str) -> None:
    url = around.replace("{}", placeholder)
    with pytest.raises(UrlInvalid) as raised:
        destination(url, "BOOTSTRAP_OUTPUT")
    assert placeholder in raised.value.what and raised.value.where == f"BOOTSTRAP_OUTPUT = {url}"


def test_a_placeholder_of_a_template_with_at_signs() -> None:
    with pytest.raises(UrlInvalid, match="@JOB@"):
        destination("obs://bucket/@JOB@/", "--log")


@pytest.mark.parametrize("path", ["out", "out/", "./out", "../out/", "~/out", "bucket/prefix/", "C:\\out", "obs//b/c/"])
def test_a_relative_path(path: str) -> None:
    with pytest.raises(UrlInvalid, match="relative path"):
        destination(path, "--log")


@pytest.mark.parametrize("url", ['obs://bucket/a/"', "'obs://bucket/a/", "/mnt/a\u201d"])
def test_half_a_pair_of_quotes(url: str) -> None:
    with pytest.raises(UrlInvalid, match="quote"):
        destination(url, "--log")


@pytest.mark.parametrize(
    "url",
    [
        *("obs://bucket/a%20b/", "obs://bucket/100%/x", "/mnt/lr=0.1,$5", "s3://b.c/x(1)/", "/a{1,2}/"),
        *("file:///mnt/it's", "obs://bucket/%d0%be/", "obs://bucket/a@b.c/", "/mnt/@eaDir/x"),
    ],
)
def test_what_may_be_meant_stays_as_it_is(url: str) -> None:
    assert destination(url, "--log").path.rstrip("/")
