#!/usr/bin/env bash
# Writes a data directory's recordings anew, as 16-bit FLAC or WAV of one rate: a file each, or an archive a job.
#   steps/convert_audio.sh [--nj N] [--to flac|wav|flac.ark|wav.ark] [--drop-bad-audio] --rate HZ DATA OUT
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.convert_audio "$@"
