#!/usr/bin/env bash
# Mean scores of an ensemble's runs: RUN/scores/LIST.mean; with --of, of any runs, which make RUN an ensemble.
#   steps/ensemble.sh [--calibration DATA/trials_LIST] RUN DATA/trials_LIST …
#   steps/ensemble.sh --of RUN1 --of RUN2 … --backend NAME [--weights 3,1] [--normalise nontargets --calibration …] RUN DATA/trials_LIST …
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.ensemble "$@"
