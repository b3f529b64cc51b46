# shellcheck shell=bash
# The environment of every script here: source it, do not run it.
# On first use it makes .venv and installs requirements.txt; SV_PYTHON=/path/python uses your own environment.

SV_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export SV_ROOT
export LC_ALL=C                     # one sort order for every list and every tool
export PYTHONPATH="$SV_ROOT${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONUNBUFFERED=1
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}   # threads that wait must not take the cores from other programs
export ONEDNN_PRIMITIVE_CACHE_CAPACITY=${ONEDNN_PRIMITIVE_CACHE_CAPACITY:-512}  # its default, 1024, is gigabytes
export TF_CPP_MIN_LOG_LEVEL=3       # TensorBoard's writer is not the place for another framework's greetings

sv_die() { echo "path.sh: $*" >&2; exit 1; }

# Which packages of requirements.txt a python lacks, by import name; prints them, fast (nothing is imported).
sv_missing_packages() {
  "$1" - <<'PY'
import importlib.util, sys
if sys.version_info < (3, 11):
    print("python>=3.11")
names = "torch torchaudio numpy scipy soundfile av kaldiio webrtcvad yaml pydantic tqdm matplotlib tensorboard"
print(*[n for n in names.split() if importlib.util.find_spec(n) is None])
PY
}

sv_make_venv() {
  local venv=$SV_ROOT/.venv
  # The copy of requirements.txt is written last: an install that was cut short is taken up again.
  cmp -s "$SV_ROOT/requirements.txt" "$venv/installed.txt" && return 0
  command -v python3 >/dev/null || sv_die "python3 is not on PATH; install Python 3.11 or later, or name one with SV_PYTHON=/path/python"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
    || sv_die "$(python3 --version) is too old; Python 3.11 or later is needed, name one with SV_PYTHON=/path/python"
  echo "path.sh: making the Python environment in $venv (once; about 5 GB, a few minutes)" >&2
  python3 -m venv "$venv" || sv_die "python3 -m venv failed (Debian: package python3-venv); or name your own environment with SV_PYTHON=/path/python"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$SV_ROOT/requirements.txt" \
    || sv_die "pip could not install requirements.txt (its messages are above); run again to go on where it stopped"
  cp "$SV_ROOT/requirements.txt" "$venv/installed.txt"
}

if [[ -n ${SV_PYTHON:-} ]]; then
  [[ -x $(command -v "$SV_PYTHON" || true) ]] || sv_die "SV_PYTHON=$SV_PYTHON is not a program"
  if [[ ${SV_CHECKED:-} != "$SV_PYTHON" ]]; then
    sv_lacking=$(sv_missing_packages "$SV_PYTHON") || sv_die "SV_PYTHON=$SV_PYTHON does not run Python"
    [[ -z $sv_lacking ]] || sv_die "SV_PYTHON=$SV_PYTHON lacks: $sv_lacking; install requirements.txt there, or unset SV_PYTHON"
    export SV_CHECKED=$SV_PYTHON
  fi
else
  sv_make_venv
  SV_PYTHON=$SV_ROOT/.venv/bin/python
fi
export SV_PYTHON
