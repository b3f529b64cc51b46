#!/usr/bin/env bash
# All that proves the project: lint, unit tests, small end-to-end runs. `tests/run.sh --all` adds the long proofs.
# Without Slurm's daemons (Debian: slurm-wlm, munge) or a Chromium (chromium; or SV_BROWSER) their tests are skipped.
#   tests/run.sh [--all] [pytest arguments]
set -euo pipefail
unset CDPATH
[[ ${SV_PYTHON:-} != [!/]*/* ]] || export SV_PYTHON=$PWD/$SV_PYTHON
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. ./path.sh

marker=(-m 'not slow')
if [[ ${1:-} == --all ]]; then
  marker=()
  shift
fi

lack_tools() { echo "tests/run.sh: $SV_PYTHON lacks the tools of tests/requirements.txt; install them there" >&2; exit 1; }

# The tools of the tests, into the same environment; once, as path.sh does it.
stamp=$SV_ROOT/.venv/installed-tests.txt
if [[ $SV_PYTHON != "$SV_ROOT/.venv/bin/python" ]]; then
  "$SV_PYTHON" -c 'import pytest, ruff, transformers, onnx, onnxscript, onnxruntime' 2>/dev/null || lack_tools
elif ! cat tests/requirements.txt requirements-export.txt | cmp -s - "$stamp"; then
  sv_pip_install "$SV_PYTHON" tests/requirements.txt
  cat tests/requirements.txt requirements-export.txt >"$stamp"
fi
shellcheck=$(command -v "$(dirname "$(command -v "$SV_PYTHON")")/shellcheck" || command -v shellcheck) || lack_tools

echo "== lint"
"$SV_PYTHON" -m ruff check .
"$SV_PYTHON" -m ruff format --check --quiet .
"$shellcheck" -x -P SCRIPTDIR run.sh path.sh .ci/run tests/run.sh steps/*.sh recipes/*/recipe.sh tests/unit/queue_like.sh

echo "== tests"
(($# == 0)) || exec "$SV_PYTHON" -m pytest "${marker[@]}" "$@"

# Whole runs beside the unit tests, in two parts: what they wait for leaves a core idle for most of its time.
said=$(mktemp -d)
parts=()
trap '((${#parts[@]} == 0)) || kill "${parts[@]}" 2>/dev/null || true; rm -rf "$said"' EXIT
"$SV_PYTHON" -m pytest "${marker[@]}" tests/e2e/test_run_sh.py >"$said/1" 2>&1 &
parts+=($!)
"$SV_PYTHON" -m pytest "${marker[@]}" tests/e2e --ignore=tests/e2e/test_run_sh.py >"$said/2" 2>&1 &
parts+=($!)
failed=0
"$SV_PYTHON" -m pytest "${marker[@]}" tests/unit || failed=1
echo "== tests of whole runs"
for part in "${parts[@]}"; do
  wait "$part" || failed=1
done
cat "$said"/*
exit "$failed"
