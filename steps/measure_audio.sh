#!/usr/bin/env bash
# Measures recordings for networks that read them: DATA/utt2num_samples, from headers, and DATA/reco2probe.
#   steps/measure_audio.sh [--nj N] --rate HZ DATA
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.measure_audio "$@"
