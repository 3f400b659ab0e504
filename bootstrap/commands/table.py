"""Every subcommand: its group in `bootstrap help`, its name (the module beside this one), and what it is for."""

from __future__ import annotations

GROUPS = {
    "Jobs": {
        "run": "boot a training job: fetch the code, run the command, deliver its results",
        "doctor": "check everything that a job needs, before it starts",
        "plan": "show what a job would do, with the source of each setting",
        "logs": "print or follow the log of a running, ended or killed job",
        "report": "make one page of a run: why it ended, its steps, its machine, its outputs",
        "outputs": "list, verify or fetch the checkpoints of a job, complete or not",
        "simulate": "rehearse a job of several nodes on this machine",
        "manifest": "turn a GPU manager's job file into a Volcano Job, checked",
    },
    "Files": {
        "copy": "copy files and directories between this machine and object stores",
        "ls": "list what is below a URL",
        "du": "count the files and bytes below a URL",
    },
    "This container, an image": {
        "env": "show what the platform's environment says of this job",
        "ip": "print this node's address on the cluster's interface (ib0, ...)",
        "check-image": "find what would fail in an image, before paying for accelerators",
        "explain": "explain the id of a cause: what it means, whether to try again, what to do",
        "scripts": "put run_train.sh and the other old names into a directory",
        "secrets": "make a key, and encrypt variables with it for a job",
        "completion": "print the completion script for bash, zsh or fish",
    },
    "Under old names": {
        "downloader": "copy with the flags of modelarts-downloader.py",
    },
}
COMMANDS = {name: text for group in GROUPS.values() for name, text in group.items()}
