#!/usr/bin/env bash
# A smaller data directory out of one; its trials stay behind.
#   steps/subset_data.sh [--utterances FILE] [--speakers FILE] [--without FILE] \
#     [--first N | --random N [--seed N] | --per-speaker N [--seed N]] DATA OUT
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.subset_data "$@"
