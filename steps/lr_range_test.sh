#!/usr/bin/env bash
# Find the learning rates at which a run's training works, by a test in which the rate rises step by step.
#   steps/lr_range_test.sh [--from 1e-8] [--to 1] [--steps 5000] [--smoothing 0.98] [--stop-at 4] [--ngpu N] \
#     --train DATA [--adapt DATA] [--banks DIR] RUN
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.lr_range_test "$@"
