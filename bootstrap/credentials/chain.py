"""boto3's own chain of places, asked last: ~/.aws, roles, containers' credential services, single sign-on.

Its import costs more than all the rest of a start, so it happens only when nothing else was found.
"""

from __future__ import annotations

from ..errors import SecretUnreadable
from ..job import Credentials


class BotoChain:
    """Asked once for its credentials object, which then renews itself whenever it is read."""

    def __init__(self, *, metadata: bool) -> None:
        self._metadata = metadata
        self._found: object | None = None

    def read(self) -> Credentials | None:
        """The newest keys, None when boto3 knows none. :raises SecretUnreadable: a place that is half set or fails"""
        import botocore.exceptions
        import botocore.session

        try:
            if self._found is None:
                session = botocore.session.get_session()
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
        except (
            botocore.exceptions.BotoCoreError,
            botocore.exceptions.ClientError,
            OSError,
            RuntimeError,  # keys that have ended, and are still the same when read again
            ValueError,  # a time that is none
        ) as error:
            raise SecretUnreadable(
                "boto3's own chain failed",
                where="AWS_ variables, ~/.aws, roles, containers' services",
                why=str(error),
                remedy="mend or remove what it found there, or give keys in S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY",
            ) from error
