"""What the platforms ask of an image, each with its source. A platform is chosen by name, or by what the image looks
like; ``any`` asks only for what is asked everywhere.
"""

from __future__ import annotations

from ..values import dataclass
from .tree import Image

GB = 10**9


@dataclass(frozen=True, slots=True)
class Contract:
    """``uid``, ``gid``: as which the container runs (None: as the image says). Sizes are in bytes, 0 for no bound."""

    name: str
    title: str
    uid: int | None = None
    gid: int | None = None
    user: str = ""
    group: str = ""
    uids: range = range(0)
    """Those that its public resource pools admit; empty where nothing is said."""
    home: str = ""
    largest: int = 0
    advised: int = 0
    writable: tuple[str, ...] = ()
    audited: bool = False
    """Whether setuid files and changed system files are refused before the job starts."""
    shell: str = ""
    """The program of the platform's boot command."""


# ModelArts documentation, "Specifications for Custom Images Used for Training Jobs" (v1): no new setuid or setgid file
# of root's, nothing changed in /bin, /sbin, /usr and /lib(64), in some files of /etc that are not named, and in the
# tools of the home; at most 9.5 GB; the default user has uid 1101. Group, home and /cache are those of its old base
# images' Dockerfiles. The boot command is `bash /home/work/run_train.sh`.
DLS = Contract(
    "dls",
    "ModelArts v1",
    uid=1101,
    gid=1101,
    user="work",
    group="work",
    home="/home/work",
    largest=9 * GB + GB // 2,
    writable=("/home/work", "/cache", "/tmp"),
    audited=True,
    shell="bash",
)
# ModelArts documentation, "Creating a custom training image" (v2): ma-user, 1000:100, at most 30 GB, 15 GB advised.
# Its public pools admit uids from 1000 to 65535, dedicated ones lower ones too.
MODELARTS = Contract(
    "modelarts",
    "ModelArts v2",
    uid=1000,
    gid=100,
    user="ma-user",
    group="ma-group",
    uids=range(1000, 65536),
    home="/home/ma-user",
    largest=30 * GB,
    advised=15 * GB,
    writable=("/home/ma-user", "/tmp"),
)
ANY = Contract("any", "any platform", writable=("/tmp",))
CONTRACTS = {contract.name: contract for contract in (DLS, MODELARTS, ANY)}


def recognise(image: Image) -> tuple[Contract, str]:
    """The contract that an image seems to be made for, and why."""
    runs_as = image.config.user.partition(":")[0] if image.config else ""
    for contract in (DLS, MODELARTS) if runs_as in (DLS.user, str(DLS.uid)) else (MODELARTS, DLS):
        if any(account.name == contract.user for account in image.accounts()):
            return contract, f"it has the user {contract.user}"
        if image.find(contract.home):
            return contract, f"it has {contract.home}"
    return ANY, "neither ModelArts' user work nor ma-user is in it"
