#!/usr/bin/env bash
# Embeddings of a data directory: RUN/embeddings/SET/xvector.scp.
#   steps/extract.sh [--nj N] [--ngpu N] RUN DATA
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.extract "$@"
