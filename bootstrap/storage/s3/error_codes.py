"""What a store's answer means: one table from its error codes to our causes. No I/O, nothing of botocore."""

from __future__ import annotations

import time

from ...errors import (
    BootstrapError,
    BucketMissing,
    ClockSkewed,
    CredentialsExpired,
    CredentialsRejected,
    DiskFull,
    EndpointWrong,
    NothingThere,
    PermissionDenied,
    RequestRefused,
    SourceChanging,
    StoreUnavailable,
)

Cause = type[BootstrapError]

_ACCOUNT = "settle the account with the provider; the keys themselves are in order"
_STYLE = "choose --addressing virtual (and an endpoint without the bucket in its name)"

# Codes as OBS, OSS and S3 document them ("API Reference", error codes), and what to do where the cause's own
# remedy is not the point.
_CODES: dict[str, tuple[Cause, str]] = {
    "NoSuchBucket": (BucketMissing, ""),
    "InvalidBucketName": (BucketMissing, ""),
    "NoSuchKey": (NothingThere, ""),
    "NoSuchUpload": (StoreUnavailable, "the store dropped a multipart upload half way; try again"),
    "AccessDenied": (PermissionDenied, ""),
    "AllAccessDisabled": (PermissionDenied, ""),
    "InvalidObjectState": (PermissionDenied, "the object is archived: restore it in the console, then try again"),
    "InvalidAccessKeyId": (CredentialsRejected, ""),
    "InvalidSecurity": (CredentialsRejected, ""),
    "SignatureDoesNotMatch": (CredentialsRejected, ""),
    "TooManyWrongSignature": (CredentialsRejected, ""),
    "CredentialsNotSupported": (CredentialsRejected, ""),
    "InvalidToken": (CredentialsRejected, "give the security token that belongs to this very key pair"),
    "InvalidSecurityToken": (CredentialsRejected, "give the security token that belongs to this very key pair"),
    "ExpiredToken": (CredentialsExpired, ""),
    "SecurityTokenExpired": (CredentialsExpired, ""),
    "TokenRefreshRequired": (CredentialsExpired, ""),
    "RequestTimeTooSkewed": (ClockSkewed, ""),
    "RequestExpired": (ClockSkewed, ""),
    "PermanentRedirect": (EndpointWrong, ""),
    "TemporaryRedirect": (EndpointWrong, ""),
    "Redirect": (EndpointWrong, ""),
    "AuthorizationHeaderMalformed": (EndpointWrong, "set S3_REGION to the region that the store names above"),
    "MissingRegion": (EndpointWrong, "set S3_REGION"),
    "InvalidLocationConstraint": (EndpointWrong, ""),
    "IllegalLocationConstraintException": (EndpointWrong, ""),
    "VirtualHostDomainRequired": (EndpointWrong, _STYLE),
    "SecondLevelDomainForbidden": (EndpointWrong, _STYLE),
    "InArrearOrInsufficientBalance": (PermissionDenied, _ACCOUNT),
    "FrozenUserId": (PermissionDenied, _ACCOUNT),
    "AccountProblem": (PermissionDenied, _ACCOUNT),
    "UserDisable": (PermissionDenied, _ACCOUNT),
    "NotSignedUp": (PermissionDenied, _ACCOUNT),
    "QuotaExceeded": (DiskFull, "the bucket or the account is at its limit: free some space there"),
    "InsufficientStorageSpace": (DiskFull, "the bucket is at its limit: free some space there"),
    "EntityTooLarge": (DiskFull, "the object is larger than this store takes"),
    "PreconditionFailed": (SourceChanging, ""),
}

# Answers to HEAD carry no body, and proxies in between know no codes: the status is all there is.
_STATUS: dict[int, tuple[Cause, str]] = {
    301: (EndpointWrong, ""),
    307: (EndpointWrong, ""),
    401: (CredentialsRejected, ""),
    403: (PermissionDenied, ""),
    404: (NothingThere, ""),
    407: (PermissionDenied, "the proxy wants a user and a password: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"),
    412: (SourceChanging, ""),
}

# What stores answer to a request that would be right a moment later: S3's and OBS' error codes whose text says "try
# again", whatever their status (an error that comes late has the status 200).
_PASSING = (
    "BadDigest", "IncompleteBody", "InternalError", "OperationAborted", "RequestTimeout", "ServiceUnavailable",
    "SlowDown",
)  # fmt: skip
_OVERLOAD = (429, 503)


def may_pass(code: str, status: int) -> bool:
    """Whether the same request may go well in a moment; status 0: there was no answer."""
    return code in _PASSING or status in (0, 408, 429) or (status >= 500 and status != 501)


def is_overload(status: int) -> bool:
    """Whether it is the store's way of saying that it is asked too much."""
    return status in _OVERLOAD


def cause_of(code: str, status: int) -> tuple[Cause, str]:
    """The error class for a store's code and HTTP status, and a remedy that fits better than the class's own."""
    known = _CODES.get(code) or _STATUS.get(status)
    if known is None and 400 <= status < 500 and not may_pass(code, status):
        return RequestRefused, ""
    return known or (StoreUnavailable, "")


def is_expiry(code: str) -> bool:
    """Whether newer credentials may cure it."""
    return cause_of(code, 0)[0] in (CredentialsExpired, CredentialsRejected)


def skew(date: str) -> str:
    """How far this machine's clock is from the ``Date`` of an answer, in words; empty if that is no date."""
    from email.utils import parsedate_to_datetime  # 5 ms, for this one sentence

    try:
        ahead = time.time() - parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return ""
    return f"; this machine's clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the store's"


def tls_trouble(error: BaseException, what: str, url: str) -> BootstrapError:
    """What it means that a connection could not be secured."""
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate verify failed" in text:
        remedy = "set AWS_CA_BUNDLE to the store's CA certificates, or S3_VERIFY_SSL=0 to go unchecked"
        return EndpointWrong(what, where=url, why="its TLS certificate is not trusted here", remedy=remedy)
    if "WRONG_VERSION_NUMBER" in text or "record layer failure" in text:
        remedy = "set S3_USE_HTTPS=0, or write the endpoint with http://"
        return EndpointWrong(what, where=url, why="it does not speak TLS", remedy=remedy)
    return StoreUnavailable(what, where=url, why=text)
