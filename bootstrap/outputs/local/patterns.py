"""What checkpoints look like, as data: one table, a row a format.

Sources: the documents and savers of

- PyTorch 2.13 (``torch.distributed.checkpoint``: ``.metadata`` comes last, by rename, and names the shards
  ``__RANK_N.distcp``; with ``use_collectives=False`` each rank has a ``__RANK.metadata``; safetensors with an index);
- Lightning 2.6 (``*.ckpt``; of a sharded one ``meta.pt`` comes behind ``.metadata``, of DeepSpeed's ``latest``);
- Hugging Face (``checkpoint-N``, ``trainer_state.json`` comes last), Accelerate (``checkpoint_N``,
  ``random_states_RANK.pkl`` behind models and optimizers);
- DeepSpeed 0.19 (``global_stepN`` or a tag of one's own, which is written to ``latest`` behind a barrier;
  ``latest_universal`` when ``global_stepN_universal`` is converted);
- Megatron-LM (``iter_0000100``, ``latest_checkpointed_iteration.txt`` behind a barrier; Megatron Core's distributed
  ones begin with ``common.pt`` and end with ``metadata.json``), verl (``global_step_N`` and the same file);
- TensorFlow (``ckpt-N.index`` beside ``ckpt-N.data-K-of-N``, named by ``checkpoint``, replaced by way of
  ``checkpoint.tmpHEX``), T5X (``checkpoint_N.tmp-TIME``);
- Orbax (``*.orbax-checkpoint-tmp*`` until it is renamed, or ``commit_success.txt``);
- Paddle 3.3 (``NAME.pdparams`` with ``NAME.pdopt``; its distributed ones **begin** with ``N.metadata``, which names the
  shards ``RANK_N.distcp``);
- MindSpore 2.10 (``NAME-EPOCH_STEP.ckpt`` or ``.safetensors``, ``*_breakpoint.ckpt``, ``NAME.tmp`` until a rename);
- NeMo (an empty file ``NAME-unfinished`` beside ``NAME``, ``NAME.ckpt``, ``NAME-EMA.ckpt`` and ``NAME.nemo``; at its
  start it removes what such a file stands beside).
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
    ``last``: what is written last; not whole without one of these. ``early``: what whoever writes ``last`` has written
    before, where others give directories such ``names``, too, and have nothing of the kind. ``pointer``: a file beside
    the directory that names it, or a later one, when it is whole. Both count as long as nothing in it is newer, which
    would be the next save in its place; not so what is ``renamed`` when it is whole. Where such evidence is usual and
    missing, it has to be quiet for long.
    """

    name: str
    names: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    early: tuple[str, ...] = ()
    pointer: str = ""
    renamed: bool = False


_ORBAX = ("_CHECKPOINT_METADATA", "commit_success.txt", "_METADATA", "manifest.ocdbt")
_DCP = (".metadata", "__[0-9]*.metadata", "[0-9]*.metadata")
_TRAINER = ("config.json", "adapter_config.json", "training_args.bin", "model.safetensors", "pytorch_model.bin")
_TRACKER = "latest_checkpointed_iteration.txt"
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin", "tf_model.h5", "*.pdparams")
_DEEPSPEED = ("mp_rank_[0-9]*_model_states.pt", "*_optim_states.pt")
_COUNTED = tuple(
    f"{word}{joint}[0-9]*" for word in ("step", "epoch", "ckpt", "checkpoint", "iter") for joint in ("", "-", "_", "=")
)

DIRECTORIES = (
    Format("marked", holds=(MARKER,), last=(MARKER,)),
    Format("lightning", names=("*.ckpt",), last=("meta.pt", "latest"), early=("*.distcp", ".metadata", "checkpoint/*")),
    Format("megatron", holds=("common.pt",), beside=("*.distcp",), last=("metadata.json",), pointer=_TRACKER),
    Format("dcp", holds=("*.distcp", *_DCP), last=_DCP),
    Format("orbax", holds=_ORBAX, last=_ORBAX, renamed=True),
    Format("accelerate", holds=("random_states_[0-9]*.pkl",)),
    Format("huggingface", names=("checkpoint-[0-9]*",), last=("trainer_state.json",), early=_TRAINER),
    Format("deepspeed", names=("global_step[0-9]*_universal",), pointer="latest_universal"),
    Format("deepspeed", names=("global_step[0-9]*",), holds=_DEEPSPEED, pointer="latest"),
    Format("verl", names=("global_step_[0-9]*",), pointer=_TRACKER),
    Format("megatron", names=("iter_[0-9]*",), pointer=_TRACKER),
    Format("saved_model", holds=("saved_model.pb",)),
    Format("model", holds=_WEIGHTS, beside=("*config.json",)),
    Format("model", holds=("*.safetensors.index.json", "pytorch_model*.bin.index.json")),
    Format("directory", names=(*_COUNTED, "latest", "last", "best")),
)
"""In the order in which they are asked: what a directory holds tells more than how it is called."""

FILES = (
    "*.ckpt", "*.pt", "*.pth", "*.pth.tar", "*.safetensors", "*.nemo", "*.keras", "*.h5", "*.pdparams", "*.pdopt",
)  # fmt: skip
"""Single files that are a checkpoint each."""

SHARDS = ("*-[0-9]*-of-[0-9]*.safetensors",)
"""But these, which are nothing without their index."""

UNFINISHED = (
    "*.tmp", "*.tmp[0-9]*", "*.tmp[-_.]*", "*.tmp[0-9a-f][0-9a-f][0-9a-f]*", "*_tmp", "*-tmp", "*.temp", "*_temp",
    "*.part", "*.partial", "*.incomplete", "*.in[-_]progress", "*.inprogress", "*.saving", "*.writing",
    "tmp-*", "tmp_*", ".tmp*", "*.orbax-checkpoint-tmp*", ".~*", "*.swp", "*[-.]unfinished",
)  # fmt: skip
"""Names of files and directories that somebody is still at work on."""

UNFINISHED_MARKER = "-unfinished"
"""What is behind a checkpoint's name in the name of the file beside it that says that it is being written. It says so
as long as it is there, so that it must never stay where the checkpoint is whole by now.
"""

UNMARKED = (".nemo", ".ckpt", "-EMA")
"""What of the checkpoint's own name is not in the marker's, in the order in which it is left out."""

POINTERS = (
    "latest", "checkpoint", "latest_checkpointed_iteration.txt", "last_checkpoint", "latest_checkpoint*", "*.latest",
    "latest.txt", "latest_universal", "best_checkpoint*",
)  # fmt: skip
LONGEST_POINTER = 64 << 10
"""Bytes beyond which a file of such a name is no pointer."""


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def is_unfinished(path: str) -> bool:
    """Whether a part of the path says that somebody is at work on it."""
    return any(matches(part, UNFINISHED) for part in path.split("/"))


def is_unfinished_marker(path: str, size: int) -> bool:
    """Whether a file says of what is beside it that it is being written, and holds nothing else."""
    return path.endswith(UNFINISHED_MARKER) and not size


def unfinished_markers(path: str) -> set[str]:
    """The names that a marker of the checkpoint ``path``, or of what it is in, may have. Parts of one model lie in
    directories ``mp_rank_00`` and have one marker beside these.
    """
    parts = path.split("/")
    found = {"/".join(parts[:count]) for count in range(1, len(parts) + 1)}
    plain = path
    for end in UNMARKED:
        plain = plain.removesuffix(end)
    above, _, name = plain.rpartition("/")
    found |= {plain, "/".join((*above.split("/")[:-1], name))}
    return {f"{one}{UNFINISHED_MARKER}" for one in found}


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
