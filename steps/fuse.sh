#!/usr/bin/env bash
# Search the weights of an ensemble's runs that do best on a labelled list: RUN/fusion/weights.json, for ensemble.sh.
#   steps/fuse.sh --tune-on DATA/trials_LIST [--calibration DATA/trials_LIST] RUN
#   steps/fuse.sh --of RUN1 --of RUN2 … --backend NAME --metric eer|min_dcf --tune-on DATA/trials_LIST \
#     [--normalise nontargets --calibration DATA/trials_LIST] RUN
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.fuse "$@"
