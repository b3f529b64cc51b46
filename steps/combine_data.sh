#!/usr/bin/env bash
# One data directory of several that have no utterance in common; trials stay behind.
#   steps/combine_data.sh [--feats NAME]… [--vad NAME/VAD]… OUT IN…
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.combine_data "$@"
