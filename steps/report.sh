#!/usr/bin/env bash
# Table, DET curves and figures of runs
#   steps/report.sh  OUT/{results.md,results.json,det_TRIALS.png}.:[--note TEXT] --out OUT --trials TRIALS … RUN …
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.report "$@"
