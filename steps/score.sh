#!/usr/bin/env bash
# Score a trial list with every back end of a run: RUN/scores/LIST.BACKEND; compressed, LIST.BACKEND.gz.
#   steps/score.sh [--allow-missing | --allow-dropped] [--models FILE] [--compress] [--ngpu N] [--yes] \
#     --enrol SET --test SET RUN DATA/trials_LIST
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.score "$@"
