#!/usr/bin/env bash
# Log-likelihood ratios of a run's scores, learnt on a list of other speakers: RUN/scores/LIST.BACKEND.calibrated.
#   steps/calibrate.sh --calibration DATA/trials_LIST [--prior P] RUN DATA/trials_LIST …
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.calibrate "$@"
