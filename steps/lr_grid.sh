#!/usr/bin/env bash
# Train a run at several learning rates between those that steps/lr_range_test.sh found, and tell which is best.
#   steps/lr_grid.sh [--points 7] [--from LR --to LR] [--epochs N] [--ngpu N] --train DATA --valid DATA [--adapt DATA] \
#     [--banks DIR] RUN
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.lr_grid "$@"
