#!/bin/sh
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
for python in python3 python; do
    # bootstrap.job and not just bootstrap: an interpreter that is too old for the package fails here and not in the job
    "$python" -c 'import bootstrap.job' 2>/dev/null && exec "$python" -m bootstrap "$@"
done
echo "bootstrap: not installed in this image: neither /opt/bootstrap/bin/bootstrap, nor bootstrap on PATH, nor the" \
    "package in python3 or python (3.10 or newer). What to do: pip install modelarts-bootstrap, or set BOOTSTRAP_BIN." >&2
exit 127
