# Sourced by the other scripts: goes to the project's folder and makes its .venv.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
PROJECT=$PWD

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# Print the first Python that is new enough; $PYTHON is asked first.
find_python() {
    local candidate
    for candidate in "${PYTHON:-python3}" python3 python3.11 python3.12 python3.13 python3.14; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "needs Python 3.11 or later; python3 is $(python3 --version 2>&1 || echo missing)." \
        "Set PYTHON to another one."
}

# make_venv [EXTRA]: have .venv with this project and what it depends on, installed again only
# when what it depends on, its place or its Python has changed.
make_venv() {
    local extra=${1:-} stamp wanted python
    stamp="$PROJECT/.venv/installed${extra:+-$extra}"
    if ! "$PROJECT/.venv/bin/python" -c 'import pip' 2>/dev/null; then
        python=$(find_python) || exit 1
        "$python" -m venv --clear "$PROJECT/.venv" ||
            fail "could not make .venv; on Debian this needs: apt-get install python3-venv"
    fi
    wanted=$(cat setup.cfg pyproject.toml zmqchat/__init__.py && echo "$PROJECT" &&
        "$PROJECT/.venv/bin/python" --version)
    if [[ ! -e $stamp || $wanted != "$(cat "$stamp")" ]]; then
        echo "${0##*/}: installing into .venv" >&2
        "$PROJECT/.venv/bin/python" -m pip install --quiet --disable-pip-version-check \
            --editable "$PROJECT${extra:+[$extra]}" ||
            fail "pip could not install what setup.cfg lists"
        echo "$wanted" >"$stamp"
    fi
}
