"""What tarfile lets pass in an archive that anybody may have written, and we do not. Slow to import, as tarfile is."""

from __future__ import annotations

import tarfile

MOST_HEADER = 1 << 20
"""Bytes of a member's further header (its long name, its times), which tarfile reads into memory."""

_FURTHER = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class StrictHeader(tarfile.TarInfo):
    """For ``tarfile.open(..., tarinfo=StrictHeader)``: raises ``tarfile.ReadError`` for a damaged header, which tarfile
    takes for the end of the archive unless it is the first, and for a further header of more than ``MOST_HEADER``.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> StrictHeader:
        header = super().frombuf(buf, encoding, errors)
        if header.type in _FURTHER and header.size > MOST_HEADER:
            raise tarfile.ReadError(f"a header of {header.size} bytes")
        return header

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> StrictHeader:
        try:
            return super().fromtarfile(tarfile_)
        except (tarfile.TruncatedHeaderError, tarfile.InvalidHeaderError) as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(f"a damaged header: {error}") from error
