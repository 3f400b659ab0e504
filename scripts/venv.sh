# shellcheck shell=bash
# Sourced by the scripts that need a virtual environment of their own: scripts/test, scripts/lint, scripts/demo.
# They need nothing but bash and a Python of the machine, and write nowhere but into the clone.

readonly OLDEST=10 NEWEST=13 # of Python 3

# say TEXT: to the person at the terminal, never into a pipe that carries results
say() { printf '%s\n' "$*" >&2; }

# version_of PYTHON: prints 3.x if it is one that we support and that can make a virtual environment
version_of() {
    "$1" -c "
import ensurepip, sys, venv
major, minor = sys.version_info[:2]
sys.exit(1) if major != 3 or minor < $OLDEST else print('%d.%d' % (major, minor))" 2>/dev/null
}

# pythons_named NAME: prints every program of that name in PATH and where version managers keep theirs
pythons_named() {
    type -aP "$1" || true
    local home=${HOME:-/nonexistent}
    # What a version manager keeps is a help to who has one; CI does without, so that nothing depends on it.
    if [[ -n ${BOOTSTRAP_PATH_ONLY:-} ]]; then return; fi
    local kept=("${PYENV_ROOT:-$home/.pyenv}"/versions/*/bin/"$1" "$home"/.local/share/uv/python/*/bin/"$1")
    local python
    for python in "${kept[@]}"; do
        if [[ -x $python ]]; then printf '%s\n' "$python"; fi
    done
}

# find_python [3.x]: prints the first usable Python, of that version if one is given; $PYTHON wins over all others
find_python() {
    local wanted=${1:-} name python version
    if [[ -z $wanted && -n ${PYTHON:-} ]]; then
        if version_of "$PYTHON" >/dev/null; then
            printf '%s\n' "$PYTHON"
            return
        fi
        say "PYTHON=$PYTHON is not a Python >= 3.$OLDEST that can make virtual environments (modules venv, ensurepip)"
        return 1
    fi
    local names=("python$wanted")
    if [[ -z $wanted ]]; then
        names=(python3)
        local minor
        for ((minor = NEWEST; minor >= OLDEST; minor--)); do names+=("python3.$minor"); done
    fi
    for name in "${names[@]}"; do
        while IFS= read -r python; do
            version=$(version_of "$python") || continue
            if [[ -z $wanted || $version == "$wanted" ]]; then
                printf '%s\n' "$python"
                return
            fi
        done < <(pythons_named "$name")
    done
    if [[ -z $wanted ]]; then
        say "No Python >= 3.$OLDEST with the modules venv and ensurepip was found."
        say "What to do: apt-get install python3 python3-venv, or name one with PYTHON=/path/to/python."
    fi
    return 1
}

# make_venv PYTHON DIR EXTRA: the package, editable, with that extra, in DIR; does nothing when it is there already.
# Each step says "|| return": callers test the result, and within a test bash ignores set -e.
make_venv() {
    local python=$1 dir=$2 extra=$3 key version
    version=$(version_of "$python") || return
    key="$version $extra $PWD $(cksum <pyproject.toml)"
    if [[ -x $dir/bin/python && -f $dir/.made-from && $(<"$dir/.made-from") == "$key" ]]; then return; fi
    say "making $dir with Python $version (once, until pyproject.toml changes) ..."
    if [[ ! -x $dir/bin/python || $(version_of "$dir/bin/python") != "$version" ]]; then
        "$python" -m venv --clear "$dir" || return
    fi
    rm -f "$dir/.made-from"
    "$dir/bin/python" -m pip install -qq --disable-pip-version-check --no-input --editable ".[$extra]" >&2 || return
    printf '%s\n' "$key" >"$dir/.made-from"
}

# test_venv PYTHON: prints the environment for its tests; .venv is the default Python's, the others have their version
test_venv() {
    local dir=.venv version
    version=$(version_of "$1") || return
    if [[ -n ${PYTHON:-} || $version != "$(version_of "$(find_python)")" ]]; then dir=.venv-$version; fi
    make_venv "$1" "$dir" test || return
    printf '%s\n' "$dir"
}
