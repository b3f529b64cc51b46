#!/usr/bin/env bash
# Split a training set by sessions: what to train on, and what to watch the training by.
#   steps/hold_out.sh --fraction F [--seed N] DATA REST HELD_OUT
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.hold_out "$@"
