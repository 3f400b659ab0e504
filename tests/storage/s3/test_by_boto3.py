"""Each request that boto3 makes for us, to strangers and to gateways whose errors say little: a cause in words."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bootstrap.errors import BootstrapError, EndpointWrong, PermissionDenied, StoreUnavailable
from bootstrap.storage.model.store import Store
from bootstrap.storage.schemes import parse
from tests.lab.odd_store import OddStore
from tests.storage.conftest import stores_of

Request = Callable[[Any, Path], Any]
REQUESTS: dict[str, Request] = {
    "entries": lambda store, _: list(store.entries("p/")),
    "children": lambda store, _: store.children("p/"),
    "stat": lambda store, _: store.stat("p/a"),
    "read": lambda store, _: b"".join(store.read("p/a")),
    "write": lambda store, _: store.write("p/w", b"x"),
    "write a file": lambda store, file: store.write("p/w", file),
    "copy": lambda store, _: store.copy("p/a", "p/b"),
    "delete": lambda store, _: store.delete("p/a"),
    "begin": lambda store, _: store.multipart.begin("p/m"),
    "parts": lambda store, _: store.multipart.parts("p/m", "u0"),
    "put a part": lambda store, file: store.multipart.put_part("p/m", "u0", 1, os.open(file, os.O_RDONLY), 0, 1000),
    "finish": lambda store, _: store.multipart.finish("p/m", "u0", ["a" * 32]),
    "abandon": lambda store, _: store.multipart.abandon("p/m", "u0"),
}
NO_BODY_EXPECTED = ("delete", "abandon", "write", "write a file", "put a part", "read")


def ask(odd: OddStore, request: str, tmp_path: Path, *, way: str = "boto3") -> Any:
    odd.put("p/a", b"a" * 10)
    odd.uploads["u0"] = {1: b"x"}
    (tmp_path / "f").write_bytes(b"f" * 1000)
    store: Store = stores_of(odd, retry_window=1.0).open(parse(odd.url("")))  # type: ignore[arg-type]
    if way == "boto3":
        store.pipeline = None  # type: ignore[misc]
    return REQUESTS[request](store, tmp_path / "f")


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("page", ["<html><body>Sign in</body></html>", "<!DOCTYPE html><html><br></html>", "log in!"])
def test_a_page_is_no_answer_of_an_object_store(page: str, request_: str, tmp_path: Path) -> None:
    with OddStore(page=page) as odd, pytest.raises(EndpointWrong, match="no object store answers there"):
        ask(odd, request_, tmp_path)


@pytest.mark.parametrize("request_", [name for name in REQUESTS if name not in NO_BODY_EXPECTED])
@pytest.mark.parametrize("page", ['{"error": "who are you?"}', "<a/>"])
def test_nor_is_anything_that_is_not_what_was_asked_for(page: str, request_: str, tmp_path: Path) -> None:
    with (
        OddStore(page=page, page_type="application/xml") as odd,
        pytest.raises(EndpointWrong, match="no object store answers there"),
    ):
        ask(odd, request_, tmp_path)


@pytest.mark.parametrize("way", ["fast path", "boto3"])
@pytest.mark.parametrize("request_", ["entries", "stat", "copy"])
def test_an_error_that_comes_as_200_is_no_empty_listing(way: str, request_: str, tmp_path: Path) -> None:
    with OddStore(failures=[(200, "AccessDenied", "no")] * 9) as odd, pytest.raises(PermissionDenied):
        ask(odd, request_, tmp_path, way=way)


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize(("status", "code"), [(503, "SlowDown"), (500, "InternalError"), (403, "AccessDenied")])
def test_errors_without_a_text_have_a_cause(status: int, code: str, request_: str, tmp_path: Path) -> None:
    cause: type[BootstrapError] = PermissionDenied if status == 403 else StoreUnavailable
    with (
        OddStore(empty_messages=True, failures=[(status, code, "")] * 20) as odd,
        pytest.raises(cause, match=rf"\(HTTP {status}\)") as caught,
    ):
        ask(odd, request_, tmp_path)
    assert caught.value.retry == (status != 403)


def test_a_store_that_copies_is_believed(tmp_path: Path) -> None:
    for way in ("fast path", "boto3"):
        with OddStore() as odd:
            assert ask(odd, "copy", tmp_path, way=way)
            assert odd.objects["p/b"].body == b"a" * 10
