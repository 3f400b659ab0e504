#!/usr/bin/env bash
# Finds the installed `bootstrap` and becomes it: the one thing that every script beside this one stands on.
#
#   run_bootstrap.sh run -- python train.py
#
# The first of these that is there: $BOOTSTRAP_BIN; /opt/bootstrap/bin/bootstrap, which brings a Python of its own;
# `bootstrap` on PATH; the package in the image's python3 or python.

if [ -n "${BOOTSTRAP_BIN:-}" ]; then
    command -v "$BOOTSTRAP_BIN" >/dev/null && exec "$BOOTSTRAP_BIN" "$@"
    echo "bootstrap: BOOTSTRAP_BIN=$BOOTSTRAP_BIN cannot be executed" >&2
    exit 127
fi
for bootstrap in /opt/bootstrap/bin/bootstrap bootstrap; do
    command -v "$bootstrap" >/dev/null && exec "$bootstrap" "$@"
done
# Not `python -m`: that looks into the working directory first, which is the user's and may have a bootstrap.py. And
# bootstrap.job, since an interpreter that is too old for the package fails there and not in the middle of the job.
installed='import sys; sys.path[:] = filter(None, sys.path); import bootstrap.job'
for python in python3 python; do
    "$python" -c "$installed" 2>/dev/null &&
        exec "$python" -c "$installed; from bootstrap.cli import main; sys.exit(main())" "$@"
done
echo "bootstrap: not installed in this image: neither /opt/bootstrap/bin/bootstrap, nor bootstrap on PATH, nor the" \
    "package in python3 or python (3.10 or newer). What to do: pip install modelarts-bootstrap, or set BOOTSTRAP_BIN." >&2
exit 127
