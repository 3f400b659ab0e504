"""Is a store who it says it is? TLS is verified unless the platform's variable turns that off, and then it is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.job import Container
from tests.lab.names import with_hosts
from tests.lab.stores import Bucket
from tests.lab.strict_proxy import Obs
from tests.lab.tls import Authority

UNCHECKED = "TLS certificates are not checked (S3_VERIFY_SSL)"


@pytest.fixture
def bucket(obs_tls: Obs, container: Container, tmp_path: Path) -> Bucket:
    made = obs_tls.make_bucket()
    made.put("code/make.py", "open('out/model', 'w').write('weights')")
    container.front = with_hosts(tmp_path / "hosts", obs_tls.names())
    return made


def words(bucket: Bucket) -> list[str]:
    return ["--code", bucket.url("code/"), "--output", f"out={bucket.url('out/')}", "--", "python3", "code/make.py"]


@pytest.mark.parametrize("variable", [{}, {"S3_VERIFY_SSL": ""}])
def test_a_store_signed_by_nobody_we_trust_gets_no_request_and_the_cure_is_named(
    container: Container, bucket: Bucket, obs_tls: Obs, variable: dict[str, str]
) -> None:
    result = container.run(*words(bucket), environ={**obs_tls.env(), **variable})
    assert result.failure == (112, "endpoint-wrong"), result.stderr
    assert "its TLS certificate is not trusted here" in result.stderr and "AWS_CA_BUNDLE" in result.stderr
    assert obs_tls.seen == []


def test_a_store_signed_by_the_authority_that_is_named_is_trusted(
    container: Container, bucket: Bucket, obs_tls: Obs, authority: Authority
) -> None:
    result = container.run(*words(bucket), environ={**obs_tls.env(), "AWS_CA_BUNDLE": str(authority.bundle)})
    assert result.code == 0, result.stderr
    assert bucket.get("out/model") == b"weights" and UNCHECKED not in result.stderr


def test_verification_is_off_where_the_variable_says_so_and_that_is_said_once(
    container: Container, bucket: Bucket, obs_tls: Obs
) -> None:
    result = container.run(*words(bucket), environ={**obs_tls.env(), "S3_VERIFY_SSL": "0"})
    assert result.code == 0, result.stderr
    assert bucket.get("out/model") == b"weights"
    assert result.stderr.count(f"warning: {UNCHECKED}") == 1
