#!/usr/bin/env bash
# A recipe's RESULTS.md: the tables of reports, each in its place; its words stay.
#   steps/write_results.sh [--check] recipes/RECIPE/RESULTS.md NAME=EXP/report …
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.write_results "$@"
