"""Whether a text can be meant as a place to deliver to. A wrong source is not there, and says so; a wrong destination
would be made, and everybody would look for the results elsewhere.
"""

from __future__ import annotations

from ..errors import UrlInvalid
from ..ground.patterns import pattern
from .model.url import Location, shown
from .schemes import check_writable, parse

# What a template, a shell, a job file or a Windows prompt would have put a value in place of.
_PLACEHOLDER = pattern(
    r"\$\([^)]*\)+"  # $(X): Kubernetes, only where it knows X; make; $(date +%Y/%m), $((1+1)): a shell
    r"|\$\{\{[^}]*\}\}|\$\{[^}]*\}|\$[A-Za-z_][A-Za-z0-9_]*"  # ${X}, ${X:-/x}, $X: a shell, an env file
    r"|\$\[+[^\]]*\]+|`[^`]+`"  # $[1+1], `date`: a shell; $[[ x ]]: pipelines
    r"|\{\{[^{}]*\}\}|\{%[^{}]*%\}"  # {{x}}: Helm, Jinja, Argo
    r"|\{[A-Za-z_][A-Za-z0-9_.]*\}"  # {x}: Python
    r"|%\([A-Za-z_]\w*\)[sd]|%(?![0-9A-Fa-f]{2}%)[A-Za-z_]\w*%"  # %(x)s: configparser; %X%: Windows
    r"|%[YmdHMSj](?![0-9A-Fa-f])"  # %Y-%m-%d: strftime (%d0 is a byte of a URL)
    r"|@[A-Z][A-Z0-9_]*@"  # @X@: templates of autoconf and CMake
    r"|<[^<>/]+>"  # <your-bucket>: documentation
)
_QUOTES = "\"'`\u201c\u201d\u2018\u2019"


def destination(text: str, source: str) -> Location:
    """The place that ``text``, said by ``source``, is.

    Raises what :func:`.schemes.parse` does, and :class:`UrlInvalid` for a text with a placeholder that nobody has
    filled in or a quote at its end, and for a path that depends on where we stand.
    """
    where = f"{source} = {shown(text)}"
    check_filled_in(text, source)
    if text[:1] in _QUOTES or text[-1:] in _QUOTES:
        remedy = "take the quote away"
        raise UrlInvalid("a destination that begins or ends with a quote", where=where, remedy=remedy)
    place = parse(text)
    if not place.is_remote and not place.path.startswith("/"):
        raise UrlInvalid(
            "a destination that is a relative path",
            where=where,
            why="it would be a directory in this container, which is gone after the job",
            remedy="write an absolute path, such as /mnt/results/, or a URL, such as obs://bucket/prefix/",
        )
    check_writable(place, where)
    return place


def check_filled_in(text: str, source: str) -> None:
    """Raises :class:`UrlInvalid` for a placeholder that nobody has put a value in place of."""
    if (found := _PLACEHOLDER.search(text)) is not None:
        raise UrlInvalid(
            f"{found[0]} in a destination has not been replaced by a value",
            where=f"{source} = {shown(text)}",
            why="no shell and no template reads it here, and a directory of that name cannot be meant",
            remedy=f"set the variable where the job is described, or write the value in place of {found[0]}",
        )
