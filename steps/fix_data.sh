#!/usr/bin/env bash
# Mend a data directory in its place: sort it, write spk2utt, drop what lacks a speaker or audio (DATA/dropped.txt).
#   steps/fix_data.sh [--audio] [--allow-pipes] DATA
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.fix_data "$@"
