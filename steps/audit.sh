#!/usr/bin/env bash
# Audit a data directory's recordings: OUT/audit.html, OUT/audit.tsv with the figures of each, OUT/PROBLEM.txt lists.
# SV_ENGINE=slurm sends the jobs where conf/engines/slurm.yaml says.
#   steps/audit.sh [--nj N] [--rate HZ] [--min-s S] [--silent-dbfs DB] [--max-clipped PART] [--min-speech-s S] \
#     [--max-dc PART] [--vad conf/vad/VAD.conf | --no-vad] [--allow-pipes] DATA OUT
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.audit "$@"
