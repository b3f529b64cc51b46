#!/usr/bin/env bash
# Draw a trial list from a data directory: DATA/trials_NAME.
#   steps/make_trials.sh --targets N --nontargets N [--seed N] --name NAME DATA
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.make_trials "$@"
