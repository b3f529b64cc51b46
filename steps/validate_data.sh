#!/usr/bin/env bash
# Check a data directory; the first problem is an error, all of them stand in DATA/problems.txt.
#   steps/validate_data.sh [--nj N] [--audio] [--rate HZ] [--disjoint-from DATA] [--trials] [--enrol DATA] \
#     [--drop-bad-audio] [--allow-pipes] DATA
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.validate_data "$@"
