#!/usr/bin/env bash
# Finds the installed `bootstrap` and becomes it: the one thing that every script beside this one stands on.
#
#   run_bootstrap.sh run -- python train.py
#
# The first of these that is there: $BOOTSTRAP_BIN; /opt/bootstrap/bin/bootstrap, which brings a Python of its own;
# `bootstrap` on PATH; the package in the image's python3 or python.

# become FILE ARG...: FILE, with -E where it is a Python script and PYTHONHOME names the library of another Python, which
# is the command's
become() {
    if [ -n "${PYTHONHOME:-}" ]; then
        IFS= read -r interpreter 2>/dev/null <"$1" || interpreter=
        case $interpreter in
            '#!'*python*)
                # shellcheck disable=SC2086  # it may have an option
                exec ${interpreter#??} -E "$@"
                ;;
        esac
    fi
    exec "$@"
}

if [ -n "${BOOTSTRAP_BIN:-}" ]; then
    bootstrap=$(command -v "$BOOTSTRAP_BIN") && become "$bootstrap" "$@"
    echo "bootstrap: BOOTSTRAP_BIN=$BOOTSTRAP_BIN cannot be executed" >&2
    exit 127
fi
for bootstrap in /opt/bootstrap/bin/bootstrap bootstrap; do
    bootstrap=$(command -v "$bootstrap") && become "$bootstrap" "$@"
done
# Not `python -m`: that looks into the working directory first, which is the user's; and with -E, since PYTHONHOME and its
# kin are for the command's Python. bootstrap.job, since an interpreter that is too old for the package fails there and not
# in the middle of the job.
installed='import sys; sys.path[:] = filter(None, sys.path); import modelarts_bootstrap_start as ours'
installed="$installed; ours.keep_to_our_own(); import bootstrap.job"
for python in python3 python; do
    for options in -E ""; do # without, where we are installed somewhere that only PYTHONPATH names
        # shellcheck disable=SC2086  # an option or none
        "$python" $options -c "$installed" 2>/dev/null &&
            exec "$python" $options -c "$installed; sys.exit(ours.main())" "$@"
    done
done
echo "bootstrap: not installed in this image: neither /opt/bootstrap/bin/bootstrap, nor bootstrap on PATH, nor the" \
    "package in python3 or python (3.10 or newer). What to do: put the runtime or the wheel into the image (docs/images.md), or set BOOTSTRAP_BIN." >&2
exit 127
