"""``obs://`` and ``s3://``: two names of one dialect, each echoed as it was written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import UrlInvalid
from ..common.way import check_authorities
from ..model.scheme import Scheme, StoreContext
from ..model.url import Location, bucket_location, shown

if TYPE_CHECKING:
    from ..model.store import Store


def _open(location: Location, context: StoreContext) -> Store:
    """Raises :class:`EndpointWrong` without an endpoint and whatever the provider raises without keys."""
    from .bucket import BucketStore  # local jobs never pay for sockets and XML
    from .endpoint import for_bucket

    endpoint = for_bucket(context.endpoint(), location.bucket)
    check_authorities(endpoint.url, verify=endpoint.verify, ca_bundle=endpoint.ca_bundle)
    if not endpoint.verify:
        context.log.warning("TLS certificates are not checked (S3_VERIFY_SSL)", endpoint=endpoint.url)
    window = context.retry_window(endpoint)
    return BucketStore(location.bucket, endpoint, context.keys, window, scheme=location.scheme)


def _scheme(name: str) -> Scheme:
    def parse(text: str, rest: str) -> Location:
        if not rest.startswith("//"):
            remedy = f"write {shown(f'{name}://' + rest.lstrip('/'))}"
            raise UrlInvalid(f"{name}: needs two slashes", where=shown(text), remedy=remedy)
        return bucket_location(name, text, rest[2:])

    return Scheme(name, f"{name}://bucket/prefix/", parse, _open, needs_keys=True, shared=True)


OBS, S3 = _scheme("obs"), _scheme("s3")
