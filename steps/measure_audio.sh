#!/usr/bin/env bash
# How many samples each utterance has, for networks that read waveforms: DATA/utt2num_samples, from the headers.
#   steps/measure_audio.sh [--nj N] [--allow-pipes] --rate HZ DATA
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.measure_audio "$@"
