"""Every spelling of a credential's variables, in one table.

Sources: the S3_ and AWS_ names are those of the ModelArts images and of their downloader, the bare ones those of
MoXing and of the notebooks, the OBS_ ones those of Huawei's OBS SDK (ModelArts and OBS docs). ``SecurityToken`` is
how Huawei's samples spell it.
"""

from __future__ import annotations

import re

from ..ground.patterns import pattern
from ..values import dataclass


@dataclass(frozen=True, slots=True)
class Family:
    """Names that belong together: a key pair, the tokens that may go with it, and when it ends."""

    key: str
    secret: str
    tokens: tuple[str, ...]
    expires: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return (self.key, self.secret, *self.tokens, *self.expires)


OURS = Family(
    "BOOTSTRAP_ACCESS_KEY_ID",
    "BOOTSTRAP_SECRET_ACCESS_KEY",
    ("BOOTSTRAP_SECURITY_TOKEN",),
    ("BOOTSTRAP_CREDENTIAL_EXPIRATION",),
)
THEIRS = (
    Family("S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY", ("S3_SECURITY_TOKEN", "S3_SESSION_TOKEN")),
    Family(
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"),
        ("AWS_CREDENTIAL_EXPIRATION",),
    ),
    Family("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", ("SECURITY_TOKEN", "SecurityToken")),
    Family("OBS_ACCESS_KEY_ID", "OBS_SECRET_ACCESS_KEY", ("OBS_SECURITY_TOKEN",)),
)
FAMILIES = (OURS, *THEIRS)
"""In the order in which they count."""

# AWS writes the first spelling of each; the other ends are those of tools that renew keys for people.
PROFILE = Family(
    "aws_access_key_id",
    "aws_secret_access_key",
    ("aws_session_token", "aws_security_token"),
    ("expiration", "aws_expiration", "aws_credential_expiration", "x_security_token_expires"),
)
"""The same in a profile file."""

PROFILE_FILES = ("AWS_SHARED_CREDENTIALS_FILE", "CREDENTIAL_PROFILES_FILE")
"""Files that the platform rewrites while the job runs (ModelArts v2)."""

DLS_CIPHER = "DLS_AES__"
OUR_CIPHER = "BOOTSTRAP_SECRET__"
DLS_KEY_FILE = "DLS_DECRYPTOR_KEY_FILE"
DLS_KEY_SERVICE = ("DLS_KEY_ENDPOINT", "DLS_KEY_JOB_ID")
OUR_KEY_FILE = "BOOTSTRAP_SECRETS_KEY_FILE"

_BOTO_CHAIN = (
    "AWS_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
)


def is_secret_part(name: str) -> bool:
    """Whether one of the names above stands for a secret; the time when keys end is none."""
    return not any(name.removesuffix("_FILE").upper() in family.expires for family in FAMILIES)


def is_ours_alone(name: str) -> bool:
    """Whether a variable is a key of the bootstrap itself, of no use to anybody else."""
    return name.startswith(OUR_CIPHER) or name.removesuffix("_FILE") in {
        *OURS.names,
        OUR_KEY_FILE.removesuffix("_FILE"),
    }


def holds_store_key(name: str) -> bool:
    """Whether a variable's value is itself a key or a token of the store: no file's name, and no time."""
    return name == "AWS_CONTAINER_AUTHORIZATION_TOKEN" or any(
        name in (family.key, family.secret, *family.tokens) for family in FAMILIES
    )


def gives_store_access(name: str) -> bool:
    """Whether a variable holds, decrypts to, or leads to credentials: what ``--pass-credentials no`` takes away."""
    return (
        is_ours_alone(name)
        or name.startswith(DLS_CIPHER)
        or name in {*PROFILE_FILES, DLS_KEY_FILE, *DLS_KEY_SERVICE, *_BOTO_CHAIN, "BOOTSTRAP_CREDENTIALS_FILE"}
        or any(name.removesuffix("_FILE") in family.names for family in FAMILIES)
    )


# How people name secrets. *_TOKENS is left out on purpose: MAX_TOKENS=1000000 is a number, and no secret. Some names
# have nothing between their words: PGPASSWORD, SSHPASS.
_SECRET_NAME = pattern(
    r"PASSWORDS?$|PASSWD$|PASSPHRASE$|SSHPASS$"
    r"|(?:^|_)(?:PASS|SECRETS?|TOKEN|CREDENTIALS?|(?:API|ACCESS|ACCOUNT|STORAGE|FSSPEC_OSS|SECRET|PRIVATE|AUTH|ENCRYPTION|KAGGLE)_?KEY"
    r"|SECRET_ACCESS_KEY|ACCESS_KEY_ID|AK|SK|CONNECTION_STRING|AUTHORIZATION_TOKEN)$",
    re.IGNORECASE,
)


def is_secret_name(name: str) -> bool:
    """Whether a variable's name says that its value is a secret (``WANDB_API_KEY``, ``DB_PASSWORD``, ...)."""
    return bool(_SECRET_NAME.search(name)) or name == "SecurityToken"
