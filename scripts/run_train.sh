#!/usr/bin/env bash
# The boot script that ModelArts images have always had, over `bootstrap run`:
#
#   run_train.sh COMMAND [ARG...]
#   run_train.sh CODE_URL LAST_DIR/BOOT.py LOG_FILE [--NAME=VALUE...]      the form of the Ascend images
#
# The second is meant when the first argument is a URL and the second a .py file. A URL is obs://..., s3://... or the
# console's /bucket/path/ with its slash at the end: none of them can be a program, so no command is mistaken for it.
# What is not said here comes from BOOTSTRAP_ variables, then from the platform's own: `bootstrap run --help`.

# As PID 1 a shell without a handler never gets TERM. Nothing has been started yet; the bootstrap has handlers of its own.
trap 'exit 143' TERM
trap 'exit 130' INT

home=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P) && cd "$home" || exit 127
if [ $# = 0 ]; then
    echo "run_train.sh: no command given. What to do: write it behind the script, as in: run_train.sh python code/train.py" >&2
    exit 101
fi
case $#$1 in
    1--help | 1-h) sed -n '2,/^$/s/^#\{1,\} \{0,1\}//p' run_train.sh && exit ;;
esac
if [ ! -f run_bootstrap.sh ]; then
    echo "run_train.sh: $home/run_bootstrap.sh is missing. What to do: copy all scripts of one release together" >&2
    exit 127
fi

# On ModelArts v2 the platform puts the code elsewhere, and says where.
job_dir=${BOOTSTRAP_JOB_DIR:-${MA_JOB_DIR:-$home/user-job-dir}}
code=
case $1 in
    [oO][bB][sS]://* | [sS]3://*) code=$1 ;;
    /*/) code=obs:/$1 ;;
esac
case ${2:-} in
    [!-]*.py) ;;
    *) code= ;;
esac

# `python run.sh`, as a guide has it: the shell of the script, not Python, can read it.
case ${1##*/} in
    python | python[23]*)
        script=${2:-}
        if [ "$script" = -u ]; then script=${3:-}; fi
        case $script in
            *.sh)
                echo "run_train.sh: $script is a shell script: bash runs it, and not $1" >&2
                if [ "$2" = -u ]; then shift; fi
                shift
                set -- bash "$@"
                ;;
        esac
        ;;
esac

if [ -n "$code" ]; then
    case $2 in
        "$job_dir"/*) boot=$2 ;;
        *) boot=${2#/} ;; # seen in use: /code/train.py, meant below the job dir
    esac
    shift 2
    log_file=
    case ${1:-} in
        '' | -*) ;;
        *) log_file=$1 && shift ;;
    esac
    python=python
    command -v python >/dev/null || python=python3
    # Where the platform announces a rank table, this form has always started a process for each device.
    launcher=
    if [ -n "${RANK_TABLE_FILE:-}${RANK_TABLE_FILE_V_1_0:-}" ]; then launcher=${BOOTSTRAP_LAUNCHER:-ascend}; fi
    # The slash says that the code is a directory, whose last name the boot file's path begins with.
    set -- --code "${code%/}/" ${log_file:+--log-file "$log_file"} ${launcher:+--launcher "$launcher"} \
        -- "$python" "$boot" "$@"
else
    set -- -- "$@"
fi

# Sourced, since a /bin/sh that is dash drops variables with a dot in their name (v1's BATCH_<job>.0_HOSTS); it ends in
# an exec, so that no shell stays between the platform's signals and the bootstrap. 127 is what this script has always
# answered when the code could not be fetched; and it has always waited for the last writer of its pipe, such as ranks
# that a script started with & and does not wait for.
set -- run --banner --job-dir "$job_dir" \
    --code-failure-exit "${BOOTSTRAP_CODE_FAILURE_EXIT:-127}" "$@"
export BOOTSTRAP_WAIT_FOR_OUTPUT="${BOOTSTRAP_WAIT_FOR_OUTPUT:-1}"
# shellcheck source=scripts/run_bootstrap.sh
. ./run_bootstrap.sh
