#!/usr/bin/env bash
# Split a training set: what to train on, and sessions to watch the training by, or speakers to calibrate on.
#   steps/hold_out.sh (--fraction F | --speakers N) [--seed N] DATA REST HELD_OUT
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.hold_out "$@"
