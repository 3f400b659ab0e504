"""The strict proxy bites where OBS bites, and takes what OBS takes."""

from __future__ import annotations

import hashlib
import http.client
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.lab.names import with_hosts
from tests.lab.stores import Bucket, Store
from tests.lab.strict_proxy import Obs
from tests.lab.tls import Authority

DEFAULTS: dict[str, Any] = {
    "request_checksum_calculation": "when_supported",
    "response_checksum_validation": "when_supported",
}


def through(obs: Obs, store: Store | None = None, bucket: Bucket | None = None, **config: Any) -> Bucket:
    """A bucket spoken to through the proxy, as a job would."""
    made = bucket or obs.make_bucket()
    seen_by = store or obs.store
    return Bucket(seen_by, made.name, seen_by.client(**{"retries": {"max_attempts": 0}, **config}))


def refusal(of: Any) -> tuple[str, int]:
    """The code and status with which ``of`` is refused."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        of()
    answer = caught.value.response
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-obs-request-id"] == answer["ResponseMetadata"]["RequestId"]
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_with_the_right_settings_every_verb_works(obs: Obs) -> None:
    bucket = through(obs)
    names = ["a b+c.py", "dir/", "dir/ü=%&.txt", "~x/y.bin"]
    for name in names:
        bucket.put(name, name.encode())
    assert bucket.list() == sorted(names)
    assert bucket.get("dir/ü=%&.txt") == "dir/ü=%&.txt".encode()
    answer = bucket.client.get_object(Bucket=bucket.name, Key="a b+c.py", Range="bytes=2-3")
    assert (answer["ContentRange"], answer["Body"].read()) == ("bytes 2-3/8", b"b+")
    assert bucket.client.head_object(Bucket=bucket.name, Key="a b+c.py")["ContentLength"] == 8
    bucket.delete("a b+c.py")
    assert refusal(lambda: bucket.get("a b+c.py")) == ("NoSuchKey", 404)
    assert {seen.bucket for seen in obs.seen} == {bucket.name}


def test_a_multipart_upload_passes_whole(obs: Obs, tmp_path: Path) -> None:
    source = tmp_path / "big"
    source.write_bytes(bytes(range(256)) * (17 << 12))
    bucket = through(obs)
    bucket.client.upload_file(str(source), bucket.name, "big")
    assert hashlib.sha256(bucket.get("big")).digest() == hashlib.sha256(source.read_bytes()).digest()
    assert any("partNumber=3" in seen.request.query for seen in obs.seen)


def test_a_bucket_in_the_path_is_refused_at_the_domain(obs: Obs) -> None:
    by_path = replace(obs.store, addressing="path")
    assert refusal(through(obs, by_path).list) == ("VirtualHostDomainRequired", 403)


def test_a_bucket_in_the_path_is_taken_at_an_address(obs: Obs) -> None:
    private = replace(obs.store, endpoint=f"http://127.0.0.1:{obs.port}", addressing="path")
    assert through(obs, private).list() == []


def test_boto3_as_it_comes_cannot_upload(obs: Obs) -> None:
    bucket = through(obs, **DEFAULTS)
    assert refusal(lambda: bucket.put("x", b"x")) == ("XAmzContentSHA256Mismatch", 400)


def test_boto3_as_it_comes_cannot_upload_over_https(
    obs_tls: Obs, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.bundle))
    made = obs_tls.make_bucket()
    assert refusal(lambda: through(obs_tls, bucket=made, **DEFAULTS).put("x", b"x")) == (
        "XAmzContentSHA256Mismatch",
        400,
    )
    assert obs_tls.seen[-1].request.headers["x-amz-trailer"] == "x-amz-checksum-crc32"
    through(obs_tls, bucket=made).put("x", b"x")
    assert made.get("x") == b"x"


def test_a_certificate_of_an_unknown_authority_is_an_error_of_the_client(obs_tls: Obs) -> None:
    with pytest.raises(botocore.exceptions.SSLError):
        through(obs_tls).list()


def test_deleting_many_needs_content_md5(obs: Obs) -> None:
    bucket = through(obs)
    bucket.client.meta.events.register("before-sign", lambda request, **_: request.headers.__delitem__("Content-MD5"))
    many = {"Objects": [{"Key": "a"}]}
    delete = lambda: bucket.client.delete_objects(Bucket=bucket.name, Delete=many)  # noqa: E731
    assert refusal(delete)[1] == 400


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"secret_key": "wrong"}, "SignatureDoesNotMatch"),
        ({"access_key": "UNKNOWN"}, "InvalidAccessKeyId"),
    ],
)
def test_keys_are_checked(obs: Obs, wrong: dict[str, str], code: str) -> None:
    assert refusal(through(obs, replace(obs.store, **wrong)).list)[0] == code


def test_the_region_is_checked(obs: Obs) -> None:
    assert through(obs, replace(obs.store, region="eu-west-9")).list() == []
    # botocore reads the right region out of the refusal and asks again.
    assert [seen.code for seen in obs.seen] == ["AuthorizationHeaderMalformed", ""]


def test_temporary_keys_work_with_their_token_until_they_end(obs: Obs) -> None:
    issued = obs.issue()
    made = obs.make_bucket()
    assert through(obs, issued, made).list() == []
    assert refusal(through(obs, replace(issued, token=""), made).list) == ("InvalidAccessKeyId", 403)
    assert refusal(through(obs, replace(issued, token="other"), made).list) == ("InvalidSecurity", 403)
    obs.end(issued)
    assert refusal(through(obs, issued, made).list) == ("InvalidSecurity", 403)
    obs.policy.expired_as = "ExpiredToken"
    assert refusal(through(obs, issued, made).list) == ("ExpiredToken", 400)


def test_a_clock_that_is_off_is_refused_with_both_times(obs: Obs) -> None:
    bucket = through(obs)
    obs.policy.clock_offset = 3600
    # botocore sets its clock by the first answer's Date and signs again; with no retries left it shows the refusal.
    assert refusal(bucket.list) == ("RequestTimeTooSkewed", 403)


def test_a_bucket_of_another_region_names_the_right_address(obs: Obs) -> None:
    # By hand, since botocore's redirector asks for the region until Python's stack is full: it is looked for in a
    # header that only Amazon sends.
    bucket = obs.make_bucket()
    obs.policy.elsewhere[bucket.name] = "obs.other-region-2.lab.test"
    host = f"{bucket.name}.{obs.domain}:{obs.port}"
    request = AWSRequest("GET", f"http://{host}/", headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
    S3SigV4Auth(Credentials(obs.store.access_key, obs.store.secret_key), "s3", obs.store.region).add_auth(request)
    connection = http.client.HTTPConnection("127.0.0.1", obs.port)
    connection.request("GET", "/", headers={"Host": host, **dict(request.headers)})
    answer = connection.getresponse()
    assert answer.status == 301
    assert b"<Endpoint>obs.other-region-2.lab.test</Endpoint>" in answer.read()
    connection.close()


def test_what_the_policy_forbids_is_denied(obs: Obs) -> None:
    bucket = through(obs)
    obs.policy.forbid = lambda method, name, key: method == "PUT"
    assert refusal(lambda: bucket.put("x")) == ("AccessDenied", 403)
    assert bucket.list() == []


def test_a_body_that_is_not_what_was_signed_is_not_stored(obs: Obs) -> None:
    bucket = through(obs)

    def tamper(request: Any, **_: Any) -> None:
        request.body = b"other"

    bucket.client.meta.events.register("before-send.s3.PutObject", tamper)
    assert refusal(lambda: bucket.put("x", b"right")) == ("XAmzContentSHA256Mismatch", 400)
    assert obs.buckets[0].list() == []


def test_nobody_may_come_without_a_signature(obs: Obs) -> None:
    import botocore

    assert refusal(through(obs, signature_version=botocore.UNSIGNED).list) == ("AccessDenied", 403)


def test_a_child_process_finds_the_buckets_by_name(obs: Obs, tmp_path: Path) -> None:
    bucket = obs.make_bucket()
    code = "import socket, sys; print(*(socket.gethostbyname(name) for name in sys.argv[1:]))"
    names = [obs.domain, f"{bucket.name}.{obs.domain}", "localhost"]
    argv = [*with_hosts(tmp_path / "hosts", obs.names()), sys.executable, "-c", code, *names]
    answer = subprocess.run(argv, check=True, capture_output=True, text=True)
    assert answer.stdout.split() == ["127.0.0.1"] * 3
