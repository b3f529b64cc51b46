#!/usr/bin/env bash
# A trained system for others: OUT/model.onnx from samples to embedding, model.json, README.md, back ends, calibration.
#   steps/export.sh [--check DATA] [--allow-pipes] [--verify N] [--features] [--report EXP/report] RUN OUT
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.export "$@"
