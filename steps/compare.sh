#!/usr/bin/env bash
# Whether one run is better than others on a list: differences of EER and minDCF with intervals and p-values.
#   steps/compare.sh --trials DATA/trials_NAME [--enrol DATA] RUN[:BACKEND] RUN[:BACKEND]...
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.compare "$@"
