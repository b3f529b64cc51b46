#!/usr/bin/env bash
# Train a run's network (step 1).
#   steps/train.sh [--ngpu N] [--processes N] [--workers N] --train DATA --valid DATA [--adapt DATA] [--banks DIR] RUN
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.train "$@"
