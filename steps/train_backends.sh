#!/usr/bin/env bash
# Estimate a run's back ends on the training set's embeddings, and on those of a set to adapt to: RUN/backend/NAME/.
#   steps/train_backends.sh --train SET [--speakers-of DATA] [--adapt SET] [--cohort SET] RUN
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.train_backends "$@"
