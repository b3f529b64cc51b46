#!/usr/bin/env bash
# Train a run's UBM and i-vector extractor: RUN/{final.dubm,final.ubm,final.ie}, as Kaldi's programs read them.
#   steps/train_ivector.sh [--ngpu N] --train DATA [--ubm DATA] RUN
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.train_ivector "$@"
