#!/usr/bin/env bash
# Embeddings of a set by t-SNE, a panel a run.
#   steps/plot_embeddings.sh [--speakers 10] [--utterances 50] [--perplexity P] [--seed 0] [--allow-none] --set SET --out FILE.png RUN …
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.plot_embeddings "$@"
