#!/usr/bin/env bash
# Noises and impulse responses for crops that are augmented in training, in files that its processes share.
#   steps/make_noise_bank.sh --conf conf/augment_online/NAME.yaml --rate HZ [--musan DIR] [--rirs DIR] OUT
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../path.sh"
exec "$SV_PYTHON" -m sv.cli.make_noise_bank "$@"
