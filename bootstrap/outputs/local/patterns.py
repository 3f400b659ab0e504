"""What checkpoints look like, as data: one table, a row a format.

Sources: the documents and savers of PyTorch (``torch.distributed.checkpoint``: ``.metadata`` is written last, shards
are ``__RANK_N.distcp``), Lightning (``*.ckpt``), Hugging Face (``checkpoint-N``, ``trainer_state.json`` comes
last), DeepSpeed (``global_stepN``, the tag in ``latest`` is written behind a barrier), Megatron-LM (``iter_0000100``,
``latest_checkpointed_iteration.txt`` behind a barrier), TensorFlow (``ckpt-N.index`` beside ``ckpt-N.data-K-of-N``,
named by ``checkpoint``), Orbax (``*.orbax-checkpoint-tmp*`` until it is renamed, or ``commit_success.txt``), Paddle
(``*.pdparams``), MindSpore (``NAME-EPOCH_STEP.ckpt``), NeMo (``NAME-unfinished`` markers).
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from ...values import dataclass

MARKER = ".checkpoint-complete"
"""A script writes a file of this name into a directory: the directory is a checkpoint, and whole."""


@dataclass(frozen=True, slots=True)
class Format:
    """One kind of directory. All patterns are :mod:`fnmatch`'s.

    ``names``: the directory is called so. ``holds``: or one of the files right in it is (all of ``beside`` as well).
    ``last``: what is written last; not whole without one of these. ``pointer``: a file beside the directory that names
    it, or a later one, when it is whole. Without evidence of either kind, it has to be quiet for long.
    """

    name: str
    names: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    pointer: str = ""


_ORBAX = ("_CHECKPOINT_METADATA", "commit_success.txt", "_METADATA", "manifest.ocdbt")
_DCP = (".metadata", "[0-9]*.metadata")
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin", "tf_model.h5", "*.pdparams")
_COUNTED = tuple(
    f"{word}{joint}[0-9]*" for word in ("step", "epoch", "ckpt", "checkpoint", "iter") for joint in ("", "-", "_", "=")
)

DIRECTORIES = (
    Format("marked", holds=(MARKER,), last=(MARKER,)),
    Format("dcp", holds=("*.distcp", *_DCP), last=_DCP),
    Format("orbax", holds=_ORBAX, last=_ORBAX),
    Format("huggingface", names=("checkpoint-[0-9]*",), last=("trainer_state.json",)),
    Format("deepspeed", names=("global_step[0-9]*",), pointer="latest"),
    Format("megatron", names=("iter_[0-9]*",), pointer="latest_checkpointed_iteration.txt"),
    Format("lightning", names=("*.ckpt",)),
    Format("saved_model", holds=("saved_model.pb",)),
    Format("model", holds=_WEIGHTS, beside=("*config.json",)),
    Format("directory", names=(*_COUNTED, "latest", "last", "best")),
)
"""In the order in which they are asked: what a directory holds tells more than how it is called."""

FILES = ("*.ckpt", "*.pt", "*.pth", "*.pth.tar", "*.keras", "*.h5", "*.pdparams", "*.pdopt")
"""Single files that are a checkpoint each."""

UNFINISHED = (
    "*.tmp", "*.tmp[0-9]*", "*.part", "*.partial", "*.incomplete", "tmp-*", "tmp_*", ".tmp*", "*.orbax-checkpoint-tmp*",
    "*_temp", ".~*", "*.swp",
)  # fmt: skip
"""Names of files and directories that somebody is still at work on."""

UNFINISHED_MARKER = "-unfinished"
"""What is behind a checkpoint's name in the name of the file beside it that says that it is being written."""

POINTERS = (
    "latest", "checkpoint", "latest_checkpointed_iteration.txt", "last_checkpoint", "latest_checkpoint*", "*.latest",
    "latest.txt", "best_checkpoint*",
)  # fmt: skip
LONGEST_POINTER = 64 << 10
"""Bytes beyond which a file of such a name is no pointer."""


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def is_unfinished(path: str) -> bool:
    """Whether a part of the path says that somebody is at work on it."""
    return any(matches(part, UNFINISHED) for part in path.split("/"))


def format_of_directory(name: str, files: frozenset[str]) -> Format | None:
    """The format of a directory called ``name`` with these ``files`` right in it, or None if it is no checkpoint."""
    for form in DIRECTORIES:
        if form.names and matches(name, form.names):
            return form
        if any(matches(file, form.holds) for file in files) and all(
            any(matches(file, (pattern,)) for file in files) for pattern in form.beside
        ):
            return form
    return None
