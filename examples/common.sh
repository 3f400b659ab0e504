# shellcheck shell=bash
# Sourced by each example's `run`: the demo's environment on PATH, a directory for what comes out of it.
set -euo pipefail
# shellcheck disable=SC2034  # example and work are for who sources this
example=$(cd -- "$(dirname -- "$0")" && pwd -P)
cd -- "$example/../.."
. scripts/venv.sh
make_venv "$(find_python)" .venv-demo demo # scripts/demo's
export PATH="$PWD/.venv-demo/bin:$PATH" PYTHONPATH="$PWD"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# engines: puts a Python that has the training engines on PATH, or says what is missing
engines() {
    local python=${BOOTSTRAP_TEST_ENGINES:-.venv-engines/bin/python}
    if [[ ! -x $python ]]; then
        say "this example trains for real: python3 -m venv .venv-engines && .venv-engines/bin/pip install -r tests/lab/engines.txt"
        exit 1
    fi
    PATH="$(dirname -- "$(realpath -s -- "$python")"):$PATH"
}

# engine_of_containers: prints docker or podman
engine_of_containers() { printf '%s\n' "${DOCKER:-$(command -v docker || command -v podman || echo docker)}"; }
