"""Whether an answer that boto3 takes for done is a store's, and whole.

A console's port, a network's login page and a proxy say yes as well, with a page; and to Python's HTTP client the end
of a connection is as good as the empty line that ends a head.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

from .boto_errors import A_PAGE, NoEtag, NoStore

# What an answer always has, and has not where its head broke off.
LISTING = ("IsTruncated",)
WRITTEN = ("ETag",)
READ = ("ETag",)
OBJECT = ("ContentLength", *READ)

# What the element in which an answer is wrapped begins with: rclone leaves out the Result behind it.
_ROOTS = {
    "ListObjects": b"ListBucket",
    "ListObjectsV2": b"ListBucket",
    "CopyObject": b"CopyObject",
    "UploadPartCopy": b"CopyPart",
    "CreateMultipartUpload": b"InitiateMultipartUpload",
    "CompleteMultipartUpload": b"CompleteMultipartUpload",
    "ListParts": b"ListParts",
}
_GLANCE = 1000  # bytes of an answer that tell a page
_TRUSTED = 3  # times that the same answer without an ETag comes before we believe that it broke off nowhere


def no_strangers(response_dict: dict[str, Any] | None, context: Any, **_: object) -> None:
    """Raise :class:`NoStore` for an answer that says yes and is none of an object store. botocore takes a page for done
    where it expects no body, and for an error of the store's that passes where it expects XML.
    """
    body = (response_dict or {}).get("body")
    if response_dict is None or not 200 <= response_dict["status_code"] < 300 or not isinstance(body, bytes):
        return
    head = body[:_GLANCE].lstrip().lower()
    is_page = "html" in response_dict["headers"].get("content-type", "")  # which Swift says of what is empty, too
    if head and (is_page or b"<html" in head or head.startswith(b"<!doctype")):
        raise NoStore(A_PAGE)
    root = _ROOTS.get(response_dict["context"]["operation_name"], b"")
    if root and head and not (head.startswith(b"<") and (root.lower() in head or b"<error" in head or _is_cut(body))):
        raise NoStore(f"something else came instead of a {root.decode()}")


def _is_cut(body: bytes) -> bool:
    """Whether it is XML that broke off."""
    try:
        ElementTree.fromstring(body)
    except ElementTree.ParseError as error:
        return error.code in (3, 5, 20)  # expat's: no element found, unclosed token, unclosed CDATA section
    return False


def check_whole(answer: Any, needs: tuple[str, ...]) -> None:
    """Raises :class:`ConnectionResetError` for an answer without all it ``needs``: its head broke off."""
    missing = [name for name in needs if name not in answer]
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}) if isinstance(answer, dict) else {}
    if missing and "html" in headers.get("content-type", ""):  # in an object's place, whose body is not read yet
        raise NoStore(f"a web page came instead of {', '.join(missing)}")
    if missing == ["ETag"] and "content-length" in headers:
        raise NoEtag(frozenset(headers))
    if missing or ("ETag" in needs and answer["ETag"].count('"') % 2):
        raise ConnectionResetError(f"the head of an answer broke off ({', '.join(missing or needs)})")


def with_etag(request: Callable[[], Any]) -> Any:
    """The answer to a request that writes. Who gives no ETag, again and again with the same head, is no store."""
    heads = set()
    for _ in range(_TRUSTED):
        answer = request()
        try:
            check_whole(answer, WRITTEN)
        except NoEtag as error:
            heads.add(error.head)
            last = error
        else:
            return answer
    raise NoStore("it took the object and gave no ETag, as every object store does") if len(heads) == 1 else last
