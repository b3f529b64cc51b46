#!/usr/bin/env bash
# Speaker verification, from corpora on disk to a table of error rates. `./run.sh --help` says all.
set -euo pipefail
from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"

help() {
  cat <<'HELP'
usage: ./run.sh [options]

Runs the stages of a recipe, one after the other; without options the recipe `mini`, from the start.

  --recipe NAME          recipes/NAME: what data, which systems (default: mini)
  --stage N              first stage (default: 0)
  --stop-stage N         last stage (default: 9)
  --systems A,B          systems of conf/systems/*/NAME.yaml (default: the recipe's)
  --data-root NAME=DIR   where a corpus is, as the recipe's README names it; may be repeated
  --budget NAME          lay conf/budgets/NAME.yaml over every system, as `short` for a short training;
                         its runs are called SYSTEM+NAME
  --set KEY=VALUE        change one setting of every system, as training.epochs=3; may be repeated
  --seed N               of the runs: weights and training batches (default: 1)
  --nj N                 jobs of stages 1 and 5 (default: the number of cores)
  --ngpu N               0 trains on the CPU, 1 on a GPU (default: a GPU if there is one)
  --work DIR             where data/ and exp/ go (default: here)
  --compress             keep features in Kaldi's compressed form: a quarter of the space
  --allow-pipes          run the commands ("… |") that a wav.scp names
  --drop-bad-audio       go on without recordings that cannot be read, and without their trials
                         (they go to dropped.txt)
  --allow-missing        leave out trials whose recordings have no embedding (they go to LIST.dropped.txt)
  --list                 print recipes, systems and stages, and stop
  --help                 print this, and stop

stages: 0 data lists  1 features and VAD  2 augmentation  3 classical front end  4 networks  5 embeddings
        6 back ends  7 scores  8 score normalisation, fusion  9 report

SV_PYTHON=/path/python uses your own environment instead of .venv, which is otherwise made on first use.
HELP
}

die() { echo "run.sh: $*" >&2; exit 1; }

recipe=mini first=0 last=9 systems='' seed=1 nj=$(nproc) work='' budget=''
declare -A root=()
configure_options=() feature_options=() audio_options=() check_options=() score_options=() gpu_options=()
list=false

while (($#)); do
  option=$1 value=''
  if [[ $option == --*=* ]]; then
    value=${option#*=} option=${option%%=*}
    set -- "$option" "$value" "${@:2}"
  fi
  case $option in
    --recipe | --stage | --stop-stage | --systems | --data-root | --budget | --set | --seed | --nj | --ngpu | --work)
      (($# > 1)) || die "$option needs a value; see ./run.sh --help"
      value=$2
      shift 2 ;;
    *) shift ;;
  esac
  case $option in
    --stage | --stop-stage)
      [[ $value =~ ^[0-9]$ ]] || die "$option takes a stage from 0 to 9, not $value" ;;
    --seed | --nj | --ngpu)
      [[ $value =~ ^(0|[1-9][0-9]*)$ ]] || die "$option takes a number, not $value" ;;
  esac
  case $option in
    --recipe) recipe=$value ;;
    --stage) first=$value ;;
    --stop-stage) last=$value ;;
    --systems) systems=${value//,/ } ;;
    --data-root)
      [[ $value == ?*=?* ]] || die "--data-root takes NAME=DIR, not $value"
      root[${value%%=*}]=$(cd "$from" && realpath -m -- "${value#*=}") ;;
    --budget) budget=$value ;;
    --set) configure_options+=(--set "$value") ;;
    --seed) seed=$value ;;
    --nj) nj=$value ;;
    --ngpu) gpu_options=(--ngpu "$value") ;;
    --work) work=$(cd "$from" && realpath -m -- "$value") ;;
    --compress) feature_options+=(--compress) ;;
    --allow-pipes) feature_options+=(--allow-pipes) audio_options+=(--allow-pipes) ;;
    --drop-bad-audio)
      feature_options+=(--drop-bad-audio) check_options+=(--drop-bad-audio) score_options+=(--allow-missing) ;;
    --allow-missing) score_options+=(--allow-missing) ;;
    --list) list=true ;;
    --help | -h) help; exit 0 ;;
    *) die "unknown option $option; see ./run.sh --help" ;;
  esac
done
((first <= last)) || die "--stage $first comes after --stop-stage $last"
((nj > 0)) || die "--nj takes a number from 1"

. ./path.sh

if $list; then
  echo "recipes:"
  for file in recipes/*/recipe.sh; do
    # shellcheck source=recipes/mini/recipe.sh
    (. "$file" && printf '  %-24s %s\n' "$(basename "$(dirname "$file")")" "$title")
  done
  echo "systems:"
  "$SV_PYTHON" -m sv.cli.configure --list | while IFS=$'\t' read -r name about; do printf '  %-24s %s\n' "$name" "$about"; done
  help | sed -n '/^stages:/,/^$/p'
  exit 0
fi

# --- the recipe and the runs: everything that can be wrong with the request is told before any work ---
[[ -f recipes/$recipe/recipe.sh ]] || die "unknown recipe $recipe; there is $(cd recipes && echo *)"
title='' default_systems='' data_roots=() optional_roots=()
# shellcheck source=recipes/mini/recipe.sh
. "recipes/$recipe/recipe.sh"
for name in "${!root[@]}"; do
  [[ " ${data_roots[*]} ${optional_roots[*]} " == *" $name "* ]] \
    || die "the recipe $recipe has no data root $name; it has: ${data_roots[*]} ${optional_roots[*]}"
done
for name in "${!root[@]}"; do
  [[ -d ${root[$name]} ]] || die "--data-root $name=${root[$name]}: no such folder"
done
for name in "${data_roots[@]}"; do
  [[ -n ${root[$name]:-} ]] || ((first > 0)) \
    || die "$recipe needs the root of $name; give it with --data-root $name=DIR (see recipes/$recipe/README.md)"
done
data=${work:+$work/}data/$recipe
exp=${work:+$work/}exp/$recipe
[[ -z $budget ]] || configure_options+=(--budget "$budget")
read -ra chosen <<<"${systems:-$default_systems}"
((${#chosen[@]})) || die "--systems names no system"
plan=$("$SV_PYTHON" -m sv.cli.configure --exp "$exp" --seed "$seed" "${configure_options[@]}" "${chosen[@]}")
runs=() features=() vads=()      # the runs' folders; "NAME" and "NAME VAD", each once
while IFS=$'\t' read -r folder feature vad; do
  runs+=("$folder")
  [[ " ${features[*]} " == *" $feature "* ]] || features+=("$feature")
  [[ $vad == - || " ${vads[*]} " == *" $feature/$vad "* ]] || vads+=("$feature/$vad")
done <<<"$plan"

# --- what a recipe's blocks use ---
current=''
stage() { # stage N "what": whether stage N is to run; says so
  (($1 >= first && $1 <= last)) || return 1
  current=$1
  printf '\n== stage %s: %s\n' "$1" "$2"
}
failed() {
  local code=$?
  ((code)) || return 0
  [[ -z $current ]] || echo "run.sh: stage $current of $recipe failed (the reason is above); mend it and go on with --stage $current" >&2
}
trap failed EXIT

began=$SECONDS
echo "recipe $recipe ($title), stages $first to $last"
printf 'runs:  %s\n' "${runs[@]}"
echo "data:  $data"
run_stages
current=''
printf '\ndone in %d:%02d.' $(((SECONDS - began) / 60)) $(((SECONDS - began) % 60))
if ((last == 9)); then
  echo " Results: $exp/report/results.md (table), DET curves beside it; runs below $exp"
else
  echo " Go on with --stage $((last + 1)); runs below $exp"
fi
