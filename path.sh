# shellcheck shell=bash
# The environment of every script here: source it, do not run it.
# On first use it makes .venv and installs requirements.txt; SV_PYTHON=/path/python uses your own environment.

SV_ROOT=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export SV_ROOT
export LC_ALL=C                     # one sort order for every list and every tool
export PYTHONPATH="$SV_ROOT${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONUNBUFFERED=1
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}   # threads that wait must not take the cores from other programs
export ONEDNN_PRIMITIVE_CACHE_CAPACITY=${ONEDNN_PRIMITIVE_CACHE_CAPACITY:-512}  # its default, 1024, is gigabytes
export TF_CPP_MIN_LOG_LEVEL=3       # TensorBoard's writer is not the place for another framework's greetings

sv_die() { echo "path.sh: $*" >&2; exit 1; }

# Prints "lacks:" and the packages of requirements.txt that a python lacks, by import name; fast (nothing is imported).
sv_lacking_packages() {
  "$1" - 2>/dev/null <<'PY'
import importlib.util, sys
names = "torch torchaudio numpy scipy soundfile av kaldiio webrtcvad yaml pydantic tqdm matplotlib sklearn threadpoolctl tensorboard submitit safetensors"
old = ["python>=3.11"] if sys.version_info < (3, 11) else []
print("lacks:", *old, *[n for n in names.split() if importlib.util.find_spec(n) is None])
PY
}

# Installs a requirements file with a python's pip; a person sees pip's own progress, a log one line a package.
sv_pip_install() {
  local pip=("$1" -m pip install --disable-pip-version-check -r "$2")
  if [[ -t 2 ]]; then
    "${pip[@]}" >&2
  else
    "${pip[@]}" --progress-bar off | sed -un 's/^Collecting \([^ ]*\).*/path.sh: fetching \1/p
                                             s/^Installing collected.*/path.sh: unpacking them/p' >&2
    return "${PIPESTATUS[0]}"
  fi
}

sv_make_venv() {
  local venv=$SV_ROOT/.venv python=$SV_ROOT/.venv/bin/python
  # The copy of requirements.txt is written last: an install that was cut short is taken up again.
  [[ -x $python ]] && cmp -s "$SV_ROOT/requirements.txt" "$venv/installed.txt" && return 0
  echo "path.sh: making the Python environment in $venv (once; about 5 GB, a few minutes)" >&2
  if ! "$python" -m pip --version >/dev/null 2>&1; then
    command -v python3 >/dev/null || sv_die "python3 is not on PATH; install Python 3.11 or later, or name one with SV_PYTHON=/path/python"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
      || sv_die "$(python3 --version) is too old; Python 3.11 or later is needed, name one with SV_PYTHON=/path/python"
    python3 -m venv --clear "$venv" \
      || sv_die "python3 -m venv failed (Debian: package python3-venv); or name your own environment with SV_PYTHON=/path/python"
  fi
  sv_pip_install "$python" "$SV_ROOT/requirements.txt" \
    || sv_die "pip could not install requirements.txt (its messages are above); run again to go on where it stopped"
  cp "$SV_ROOT/requirements.txt" "$venv/installed.txt"
}

if [[ -n ${SV_PYTHON:-} ]]; then
  [[ -x $(command -v "$SV_PYTHON" || true) ]] || sv_die "SV_PYTHON=$SV_PYTHON is not a program; name a Python with the packages of requirements.txt, or unset SV_PYTHON"
  if [[ ${SV_CHECKED:-} != "$SV_PYTHON" ]]; then
    sv_lacking=$(sv_lacking_packages "$SV_PYTHON") && [[ $sv_lacking == lacks:* ]] \
      || sv_die "SV_PYTHON=$SV_PYTHON does not run Python 3.11 or later; name one with the packages of requirements.txt, or unset SV_PYTHON"
    [[ $sv_lacking == lacks: ]] \
      || sv_die "SV_PYTHON=$SV_PYTHON $sv_lacking; install requirements.txt there, or unset SV_PYTHON"
    export SV_CHECKED=$SV_PYTHON
  fi
else
  sv_make_venv
  SV_PYTHON=$SV_ROOT/.venv/bin/python
fi
export SV_PYTHON
