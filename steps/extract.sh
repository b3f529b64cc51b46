#!/usr/bin/env bash
# Embeddings of a data directory
#   steps/extract.sh  RUN/embeddings/SET/xvector.scp.:[--nj N] [--ngpu N] RUN DATA
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.extract "$@"
