#!/usr/bin/env bash
# Tables, also by conditions, and DET curves of runs: OUT/{results.md,results.json,conditions.json,det_LIST.png}, and all
# there is to see on OUT/report.html.
#   steps/report.sh [--title TEXT] [--note TEXT] [--others EXP] [--enrol DATA] [--tsne FILE.png] \
#     --out OUT --trials DATA/trials_LIST … RUN …
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.report "$@"
