"""boto3's own chain of places, asked last: ~/.aws, roles, containers' credential services, single sign-on.

Its import costs more than all the rest of a start, so it happens only when nothing else was found.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..errors import KeysUnavailable, SecretUnreadable
from ..job import Credentials

if TYPE_CHECKING:
    import botocore.session

_DEAF_TO = (
    "defaults_mode", "retry_mode", "max_attempts", "request_checksum_calculation", "response_checksum_validation",
    "request_min_compression_size_bytes", "disable_request_compression", "account_id_endpoint_mode",
    "s3_use_arn_region", "s3_us_east_1_regional_endpoint", "s3_disable_express_session_auth",
    "s3_disable_multiregion_access_points",
)  # fmt: skip
"""What says nothing about keys, and would end us where it is a word that botocore does not know."""

_ELSE = "give keys in S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY"


class BotoChain:
    """Asked once for its credentials object, which then renews itself whenever it is read."""

    def __init__(self, *, metadata: bool) -> None:
        self._metadata = metadata
        self._found: object | None = None

    def read(self) -> Credentials | None:
        """The newest keys, None when boto3 knows none. :raises SecretUnreadable: a place that is half set or fails
        :raises KeysUnavailable: a service that does not answer now
        """
        import botocore.exceptions
        import botocore.parsers
        import botocore.session

        try:
            if self._found is None:
                session = botocore.session.get_session()
                _be_deaf(session)
                if not self._metadata:  # the machine's own service is asked only by choice: it costs seconds
                    session.get_component("credential_provider").remove("iam-role")
                self._found = session.get_credentials()
            if self._found is None:
                return None
            keys = self._found.get_frozen_credentials()  # type: ignore[attr-defined]
            return Credentials(
                keys.access_key or "",
                keys.secret_key or "",
                keys.token or "",
                expires=getattr(self._found, "_expiry_time", None),  # botocore has no public name for it
                source=f"boto3's own chain ({self._found.method})",  # type: ignore[attr-defined]
            )
        except botocore.exceptions.ProfileNotFound as error:
            raise SecretUnreadable(
                "the profile that keys are to come from is not there",
                where="AWS_PROFILE, in ~/.aws/credentials and ~/.aws/config",
                why=str(error).rstrip("."),
                remedy=f"correct or unset AWS_PROFILE, or {_ELSE}",
            ) from error
        except botocore.exceptions.ConfigParseError as error:
            raise SecretUnreadable(
                "a file of profiles is not in the INI form",
                where="~/.aws/config, or what AWS_CONFIG_FILE names",
                why=str(error).rstrip("."),
                remedy=f"write it as [default], region = ..., or {_ELSE}",
            ) from error
        except (
            botocore.exceptions.BotoCoreError,
            botocore.exceptions.ClientError,
            OSError,
            RuntimeError,  # keys that have ended, and are still the same when read again
            ValueError,  # a time that is none
            botocore.parsers.ResponseParserError,  # a page of a portal; it is none of botocore's other errors
        ) as error:
            if _is_passing(error):
                raise KeysUnavailable(
                    "the service that a role's keys come from does not answer",
                    where="boto3's own chain: AWS_ variables, ~/.aws, containers' services",
                    why=str(error).rstrip("."),
                ) from error
            raise SecretUnreadable(
                "boto3's own chain failed",
                where="AWS_ variables, ~/.aws, roles, containers' services",
                why=str(error).rstrip("."),
                remedy=f"mend or remove what it found there, or {_ELSE}",
            ) from error


def _is_passing(error: BaseException) -> bool:
    """Whether a service did not answer, or said that it cannot now; what it refuses it would refuse again."""
    from botocore import exceptions as boto

    cause: BaseException | None = error
    while cause is not None:  # a container's service: the text of what was raised is all that is passed on
        if isinstance(cause, boto.SSLError):
            return False
        if isinstance(cause, boto.HTTPClientError | boto.ConnectionError):
            return True
        if isinstance(cause, boto.ClientError):
            status = cause.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            code = cause.response.get("Error", {}).get("Code", "")
            return status >= 500 or status == 429 or code == "IDPCommunicationError" or code.startswith("Throttl")
        if isinstance(cause, boto.MetadataRetrievalError) and re.search(r"non 200 response (5\d\d|429)", str(cause)):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _be_deaf(session: botocore.session.Session) -> None:
    from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES, ConstantProvider

    settings = session.get_component("config_store")
    for name in BOTOCORE_DEFAUT_SESSION_VARIABLES.keys() & _DEAF_TO:
        settings.set_config_provider(name, ConstantProvider(BOTOCORE_DEFAUT_SESSION_VARIABLES[name][2]))
