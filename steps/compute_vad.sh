#!/usr/bin/env bash
# Voice activity of a feature folder: DATA/feats/NAME/vad.scp (energy) or vad_VAD.scp, and utt2num_voiced.
#   steps/compute_vad.sh [--nj N] [--allow-pipes] [--copy-from CLEAN] --conf conf/vad/VAD.conf DATA NAME
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.compute_vad "$@"
