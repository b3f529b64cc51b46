#!/usr/bin/env bash
# Score a trial list with every back end of a run
#   steps/score.sh  RUN/scores/TRIALS.BACKEND.:[--allow-missing] [--models FILE] --enrol SET --test SET RUN TRIALS
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.score "$@"
