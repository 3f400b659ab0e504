from __future__ import annotations

from pathlib import Path

import botocore
import pytest

from bootstrap.errors import EndpointWrong
from bootstrap.job import Endpoint
from bootstrap.storage.common.way import check_authorities
from bootstrap.storage.s3.endpoint import endpoint_from, for_bucket, region_of, style_of


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"S3_ENDPOINT": "obs.cn-north-4.myhuaweicloud.com"}, "https://obs.cn-north-4.myhuaweicloud.com"),
        ({"S3_ENDPOINT": "obs.x-1.lab:81", "S3_USE_HTTPS": "0"}, "http://obs.x-1.lab:81"),
        ({"S3_ENDPOINT": "https://obs.x-1.lab/", "S3_USE_HTTPS": "0"}, "https://obs.x-1.lab"),
        ({"AWS_ENDPOINT_URL_S3": "http://10.0.0.1:9000"}, "http://10.0.0.1:9000"),
        ({"AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_S3": "http://b"}, "http://b"),
        ({"OBS_ENDPOINT": "http://[::1]:80", "S3_ENDPOINT": " "}, "http://[::1]:80"),
        ({}, ""),
    ],
)
def test_every_spelling_of_the_address_is_read(environ: dict[str, str], url: str) -> None:
    assert endpoint_from(environ).url == url


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://obs.cn-north-4.myhuaweicloud.com", "cn-north-4"),
        ("https://obs.eu-west-101.myhuaweicloud.eu", "eu-west-101"),
        ("https://bkt.obs.cn-north-4.myhuaweicloud.com", "cn-north-4"),
        ("https://obs.eu-de.otc.t-systems.com", "eu-de"),
        ("https://oss-cn-hangzhou-internal.aliyuncs.com", "cn-hangzhou"),
        ("https://oss-cn-beijing.aliyuncs.com", "cn-beijing"),
        ("https://s3.eu-central-1.amazonaws.com", "eu-central-1"),
        ("https://s3.dualstack.us-west-2.amazonaws.com", "us-west-2"),
        ("https://s3.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("https://obs.myhuaweicloud.com", ""),
        ("http://10.0.0.1:9000", ""),
    ],
)
def test_the_region_is_in_the_hosts_name(url: str, region: str) -> None:
    assert region_of(url) == region


def test_a_region_set_for_the_store_wins_and_a_leftover_of_aws_does_not() -> None:
    huawei = {"S3_ENDPOINT": "obs.cn-north-4.myhuaweicloud.com", "AWS_DEFAULT_REGION": "us-east-1"}
    assert endpoint_from(huawei).region == "cn-north-4"
    assert endpoint_from({**huawei, "S3_REGION": "cn-east-3"}).region == "cn-east-3"
    assert endpoint_from({"S3_ENDPOINT": "http://10.0.0.1", "AWS_DEFAULT_REGION": "there"}).region == "there"
    assert endpoint_from({"S3_ENDPOINT": "http://10.0.0.1"}).region == ""


def test_certificates_are_checked_unless_the_platform_says_no() -> None:
    assert endpoint_from({}).verify
    assert endpoint_from({"S3_VERIFY_SSL": "1"}).verify
    assert not endpoint_from({"S3_VERIFY_SSL": "0"}).verify
    assert endpoint_from({"AWS_CA_BUNDLE": "/etc/ca.pem"}).ca_bundle == "/etc/ca.pem"


@pytest.mark.parametrize("text", ["http://", "ftp://x", "http://a b", "http://host:port", "http://me:SECRET@host"])
def test_an_impossible_address_is_refused_by_the_variables_name(text: str) -> None:
    with pytest.raises(EndpointWrong) as caught:
        endpoint_from({"S3_ENDPOINT": text})
    assert "S3_ENDPOINT" in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_a_bucket_copied_into_the_address_is_taken_out() -> None:
    endpoint = Endpoint("https://bkt.obs.cn-north-4.myhuaweicloud.com")
    assert for_bucket(endpoint, "bkt").url == "https://obs.cn-north-4.myhuaweicloud.com"
    assert for_bucket(endpoint, "other").url == endpoint.url


def test_without_an_address_the_error_names_every_variable() -> None:
    with pytest.raises(EndpointWrong) as caught:
        for_bucket(Endpoint(""), "bkt")
    for name in ("S3_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "OBS_ENDPOINT", "bkt"):
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("url", "style"),
    [
        ("https://obs.cn-north-4.myhuaweicloud.com", "virtual"),
        ("http://10.0.0.1:9000", "path"),
        ("http://[fd00::1]", "path"),
        ("http://localhost:9000", "path"),
        ("http://minio:9000", "path"),
    ],
)
def test_buckets_go_into_the_host_of_a_domain_and_into_the_path_of_an_address(url: str, style: str) -> None:
    assert style_of(Endpoint(url)) == style
    assert style_of(Endpoint(url, addressing="path")) == "path"
    assert style_of(Endpoint(url, addressing="virtual")) == "virtual"


def test_certificates_that_cannot_be_had_are_no_outage(tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("nothing")
    for path, why in (("/nowhere.pem", "No such file"), (str(tmp_path), "Is a directory"), ("none.pem", "PEM form")):
        bundle = str(tmp_path / path)
        with pytest.raises(EndpointWrong, match=why) as caught:
            check_authorities("https://host", verify=True, ca_bundle=bundle)
        assert bundle in str(caught.value) and "AWS_CA_BUNDLE" in str(caught.value)
        assert not caught.value.retry


def test_certificates_that_nobody_needs_may_be_missing() -> None:
    check_authorities("http://host", verify=True, ca_bundle="/nowhere")
    check_authorities("https://host", verify=False, ca_bundle="/nowhere")
    check_authorities("https://host", verify=True, ca_bundle=str(Path(botocore.__file__).with_name("cacert.pem")))
