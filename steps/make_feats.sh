#!/usr/bin/env bash
# Features of a data directory, by name: DATA/feats/NAME/{feats.scp,utt2num_frames,…} and its archives.
#   steps/make_feats.sh [--nj N] [--compress] [--allow-pipes] [--drop-bad-audio] --conf conf/features/NAME.conf DATA
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.make_feats "$@"
