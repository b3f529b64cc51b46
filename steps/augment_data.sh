#!/usr/bin/env bash
# Augmented copies of a data directory, drawn of all kinds; no audio is written, wav.scp says how each is made.
#   steps/augment_data.sh --conf conf/augment/NAME.yaml [--musan DIR] [--rirs DIR] [--seed N] [--allow-pipes] DATA OUT
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.augment_data "$@"
