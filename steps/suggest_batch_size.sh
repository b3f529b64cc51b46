#!/usr/bin/env bash
# Say how large a batch of a run's training may be, by the memory that steps of two sizes take.
#   steps/suggest_batch_size.sh [--ngpu N] [--limit-gb GB] [--measure FEW MORE] --train DATA RUN
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.suggest_batch_size "$@"
