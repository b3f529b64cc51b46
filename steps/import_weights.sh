#!/usr/bin/env bash
# Gives a run a public network's weights in place of a training, as of the VoxSRC 2020 authors' released models.
#   steps/import_weights.sh WEIGHTS RUN
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.import_weights "$@"
