#!/usr/bin/env bash
# All that proves the project: lint, unit tests, small end-to-end runs. `tests/run.sh --all` adds the long proofs.
#   tests/run.sh [--all] [pytest arguments]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. ./path.sh

marker=(-m 'not slow')
if [[ ${1:-} == --all ]]; then
  marker=()
  shift
fi

# The tools of the tests, into the same environment; once, as path.sh does it.
stamp=$SV_ROOT/.venv/installed-tests.txt
if [[ $SV_PYTHON != "$SV_ROOT/.venv/bin/python" ]]; then
  "$SV_PYTHON" -c 'import pytest, ruff' 2>/dev/null \
    || { echo "tests/run.sh: $SV_PYTHON lacks the tools of tests/requirements.txt; install them there" >&2; exit 1; }
elif ! cmp -s tests/requirements.txt "$stamp"; then
  "$SV_PYTHON" -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
  cp tests/requirements.txt "$stamp"
fi
bin=$(dirname "$SV_PYTHON")

echo "== lint"
"$SV_PYTHON" -m ruff check .
"$SV_PYTHON" -m ruff format --check --quiet .
"$bin/shellcheck" -x -P SCRIPTDIR run.sh path.sh .ci/run tests/run.sh steps/*.sh recipes/*/recipe.sh

echo "== tests"
exec "$SV_PYTHON" -m pytest "${marker[@]}" "$@"
