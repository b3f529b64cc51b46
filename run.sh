#!/usr/bin/env bash
# Speaker verification, from corpora on disk to a table of error rates. `./run.sh --help` says all.
[ -n "${BASH_VERSION:-}" ] || { echo "run.sh: this is a bash script; start it as ./run.sh or bash run.sh" >&2; exit 1; }
set -euo pipefail
unset CDPATH
from=$PWD
[[ ${SV_PYTHON:-} != [!/]*/* ]] || export SV_PYTHON=$from/$SV_PYTHON
cd "$(dirname "${BASH_SOURCE[0]}")"

{ # bash reads all up to the closing brace before it runs any: this file may change during a run
help() {
  cat <<'HELP'
usage: ./run.sh [options]

Runs the stages of a recipe, one after the other; without options the recipe `mini`, from the start.

  --recipe NAME          recipes/NAME: what data, which systems (default: mini)
  --stage N              first stage (default: 0)
  --stop-stage N         last stage (default: 9)
  --systems A,B          systems of conf/systems/*/NAME.yaml (default: the recipe's); 'Q?' or 'R28-*', in quotes, are
                         all that are called so
  --data-root NAME=DIR   where a corpus is, as the recipe's README names it; may be repeated; `mini` alone stands for
                         synthetic speech in the recipe's layout, generated on the spot
  --budget NAME          lay conf/budgets/NAME.yaml over every system, as `short` for a short training;
                         its runs are called SYSTEM+NAME
  --backend NAME         give every system the back end conf/backends/NAME.yaml too, as `modular`; may be repeated
  --set KEY=VALUE        change one setting, as training.epochs=3, of every system that has it; may be repeated
  --held-out F           part of the training utterances, sessions of every speaker, to choose checkpoints by, as .02
                         (default: the recipe's)
  --calibration-speakers N
                         speakers held out of training to calibrate scores on, 0 for none (default: the recipe's)
  --seed N               of the runs: weights and training batches (default: 1)
  --seeds N              so many runs of every system, at --seed and the seeds after it; the table has their mean and
                         standard deviation too (default: 1)
  --nj N                 jobs of stages 1, 2 and 5 (default: the number of cores)
  --ngpu N               0 trains on the CPU, N on as many GPUs (default: a GPU if there is one)
  --engine NAME          where the jobs of stages 1, 2 and 5 run: conf/engines/NAME.yaml (default: local)
  --work DIR             where data/ and exp/ go (default: here)
  --force                run the stages asked for though nothing has changed
  --dry-run              say which steps would run, and why, and stop
  --store FORM           stage 0 writes the training recordings anew, and all reads those: flac or wav, a file each, or
                         flac.ark or wav.ark, a large archive for each of --nj jobs (default: read them as they are)
  --compress             keep features in Kaldi's compressed form: a quarter of the space
  --compress-scores      keep scores gzipped, LIST.BACKEND.gz: a quarter of the space, every digit the same
  --allow-pipes          run the commands ("… |") that a wav.scp names
  --drop-bad-audio       go on without recordings that cannot be read, and without their trials
                         (they go to dropped.txt)
  --yes                  let a network that compares pairs score a list that takes it more than 12 hours
  --allow-missing        leave out trials whose recordings have no embedding (they go to LIST.dropped.txt)
  --list                 print recipes, systems, back ends to add and stages, and stop
  --help                 print this, and stop

A stage that is asked for does only what is not done yet: a step whose inputs, settings and outputs are as its record
says is skipped with a line; after a failure, or with something changed, the same command goes on where it must.

stages: 0 data lists  1 features and VAD  2 augmentation  3 classical front end  4 networks  5 embeddings
        6 back ends  7 scores  8 score normalisation, calibration, fusion  9 report

SV_PYTHON=/path/python uses your own environment instead of .venv, which is otherwise made on first use.
HELP
}

SV_COMMAND=./run.sh
(($# == 0)) || SV_COMMAND+=$(printf ' %q' "$@")
SV_COMMAND=${SV_COMMAND//\\,/,}   # commas need no quoting

die() { echo "run.sh: $*" >&2; exit 1; }

recipe=mini first=0 last=9 systems='' held_out='' valid_part='' store='' seed=1 seeds=1 nj=$(nproc) work=''
declare -A root=()
configure_options=() feature_options=() audio_options=() check_options=() score_options=() gpu_options=()
material_options=()
list=false dry_run=false

while (($#)); do
  option=$1 value=''
  if [[ $option == --*=* ]]; then
    value=${option#*=} option=${option%%=*}
    set -- "$option" "$value" "${@:2}"
  fi
  case $option in
    --recipe | --stage | --stop-stage | --systems | --data-root | --budget | --backend | --set | --seed | --seeds | --nj | --ngpu | --engine | --work | --held-out | --calibration-speakers | --store)
      [[ -n ${2:-} ]] || die "$option needs a value; see ./run.sh --help"
      value=$2
      [[ $value != *[[:cntrl:]]* ]] || die "$option: the value holds a tab, a line break or the like: ${value@Q}"
      shift 2 ;;
    *) shift ;;
  esac
  case $option in
    --stage | --stop-stage)
      [[ $value =~ ^[0-9]$ ]] || die "$option takes a stage from 0 to 9, not $value" ;;
    --seed | --nj | --ngpu | --calibration-speakers)
      [[ $value =~ ^(0|[1-9][0-9]{0,8})$ ]] || die "$option takes a number of at most nine digits, not $value" ;;
    --seeds)
      [[ $value =~ ^[1-9][0-9]{0,2}$ ]] || die "$option takes a number from 1 to 999, not $value" ;;
    --held-out)
      [[ $value =~ ^0?\.[0-9]*[1-9][0-9]*$ ]] || die "--held-out takes a part between 0 and 1, as .02, not $value" ;;
    --store)
      [[ $value =~ ^(flac|wav)(\.ark)?$ ]] || die "--store takes flac, wav, flac.ark or wav.ark, not $value" ;;
    --systems)
      [[ $value != *" "* && ,$value, != *,,* ]] || die "--systems takes names with a comma between two, not ${value@Q}" ;;
  esac
  case $option in
    --recipe) recipe=$value ;;
    --stage) first=$value ;;
    --stop-stage) last=$value ;;
    --systems) systems=$value ;;
    --data-root)
      if [[ $value == mini ]]; then root[mini]=''; continue; fi   # generated where it is needed
      [[ $value == ?*=?* ]] || die "--data-root takes NAME=DIR, not $value"
      root[${value%%=*}]=$(cd "$from" && realpath -m -- "${value#*=}") ;;
    --budget) configure_options+=(--budget "$value") ;;
    --backend) configure_options+=(--backend "$value") ;;
    --set) configure_options+=(--set "$value") ;;
    --calibration-speakers) held_out=$value ;;
    --held-out) valid_part=$value ;;
    --store) store=$value ;;
    --seed) seed=$value ;;
    --seeds) seeds=$value ;;
    --nj) nj=$value ;;
    --ngpu) gpu_options=(--ngpu "$value") score_options+=(--ngpu "$value") ;;
    --engine) export SV_ENGINE=$value ;;
    --force) export SV_FORCE=1 ;;
    --dry-run) dry_run=true ;;
    --work) work=$(cd "$from" && realpath -m -- "$value") ;;
    --compress) feature_options+=(--compress) ;;
    --compress-scores) score_options+=(--compress) ;;
    --allow-pipes) feature_options+=(--allow-pipes) audio_options+=(--allow-pipes) check_options+=(--allow-pipes) ;;
    --drop-bad-audio)
      feature_options+=(--drop-bad-audio) check_options+=(--drop-bad-audio) score_options+=(--allow-dropped)
      material_options+=(--drop-bad-audio) ;;
    --allow-missing) score_options+=(--allow-missing) ;;
    --yes) score_options+=(--yes) ;;
    --list) list=true ;;
    --help | -h) help; exit 0 ;;
    *) die "unknown option $option; see ./run.sh --help" ;;
  esac
done
((first <= last)) || die "--stage $first comes after --stop-stage $last"
((nj > 0)) || die "--nj takes a number from 1"
[[ $work != *[[:cntrl:]]* ]] || die "--work: its path holds a tab, a line break or the like: ${work@Q}"
data=${work:+$work/}data/$recipe
exp=${work:+$work/}exp/$recipe

if $list; then
  [[ -z ${SV_PYTHON:-} ]] || . ./path.sh
  echo "recipes:"
  for file in recipes/*/recipe.sh; do
    # shellcheck source=recipes/mini/recipe.sh
    (. "$file" && printf '  %-24s %s\n' "$(basename "$(dirname "$file")")" "$title")
  done
  echo "systems:"
  described() { local file; for file; do printf '  %-24s %s\n' "$(basename "$file" .yaml)" "$(sed -n '1s/^# *//p' "$file")"; done; }
  described conf/systems/*/*.yaml
  echo "back ends, for --backend:"
  described conf/backends/*.yaml
  help | sed -n '/^stages:/,/^$/p'
  exit 0
fi

# --- the recipe and the runs: everything that can be wrong with the request is told before any work ---
[[ $recipe != */* && -f recipes/$recipe/recipe.sh ]] || die "unknown recipe $recipe; there is $(cd recipes && echo *)"
title='' default_systems='' data_roots=() optional_roots=() calibration_speakers='' hold_out=()
stores=''                 # whether the recipe's stage 0 writes recordings anew where --store asks for it
adapt=''                  # whether there is a set of unlabelled speech to adapt to
calibrates=''             # whether there is a list to calibrate on, of speakers that are not trained on
tune_on=''                # SET/trials_LIST that the weights of ensembles are searched on, if the recipe has one
# shellcheck source=recipes/mini/recipe.sh
. "recipes/$recipe/recipe.sh"
if [[ -n $valid_part ]]; then
  ((${#hold_out[@]})) || die "the recipe $recipe does not know --held-out; it holds speakers out"
  hold_out=(--fraction "$valid_part" --every-speaker)
fi
[[ -z $store || -n $stores ]] || die "the recipe $recipe does not know --store; steps/convert_audio.sh does it by hand"
[[ -z $held_out || -n $calibration_speakers ]] || die "the recipe $recipe does not know --calibration-speakers"
calibration_speakers=${held_out:-$calibration_speakers}
known_roots=("${data_roots[@]}" "${optional_roots[@]}")
for name in "${!root[@]}"; do
  [[ " ${known_roots[*]} " == *" $name "* ]] \
    || die "the recipe $recipe has no data root $name; it has: ${known_roots[*]:-none}"
  [[ -z ${root[$name]} || -d ${root[$name]} ]] || die "--data-root $name=${root[$name]}: no such folder"
done
for name in "${data_roots[@]}"; do
  [[ -n ${root[$name]:-} ]] || ((first > 0)) \
    || die "$recipe needs the root of $name; give it with --data-root $name=DIR (see recipes/$recipe/README.md)"
done
. ./path.sh

[[ -z ${root[adapt]:-} && ! -d $data/adapt ]] || adapt=yes   # from this run or an earlier one
[[ -z $adapt ]] || configure_options+=(--adapt)
[[ -z $tune_on ]] || configure_options+=(--tune)
IFS=', ' read -ra chosen <<<"${systems:-$default_systems}"
((${calibration_speakers:-0} == 0)) || calibrates=yes
[[ -z $calibrates ]] || configure_options+=(--calibrate)
((last < 4 || first > 5)) || configure_options+=("${gpu_options[@]}")   # only stages 4 and 5 use a GPU
((last < 2 || first > 2)) || configure_options+=(--corpora "$(IFS=, && echo "${!root[*]}")")   # only stage 2 adds noise

# The runs are planned in a folder of their own, where a dry run keeps all that it finds out.
planned=$(mktemp -d)
trap 'rm -rf "$planned"' EXIT
plan=$(SV_DRY_RUN=$planned "$SV_PYTHON" -m sv.cli.configure --exp "$exp" --seed "$seed" --seeds "$seeds" "${configure_options[@]}" "${chosen[@]}")
planned_runs=()                  # the runs' folders: all, each after those that it is made of, and
networks=() ivectors=()          # those that stages 4 and 3 train,
extracted=() scored=()           # whose embeddings stage 5 extracts; with back ends and scores of their own,
declare -A learnt=() adapts=()   # of those whose embeddings back ends learn from, or that adapt to others: yes,
declare -A normalises=()         # of those whose scores, or whose embeddings', are normalised by a cohort's: yes,
ensembles=() runs=()             # of scores of others; those of the systems asked for, which stages 8 and 9 are about
features=() vads=()              # FEATURE and FEATURE/VAD, each once
rates=()                         # of the recordings that networks read themselves, each once
onlines=()                       # NAME/RATE of the augmentations that these are trained with, each once
augments=()                      # the augmentations, each once, and, of each, the features and VADs that are used
declare -A augment_of=() features_of=() vads_of=()
while IFS=$'\t' read -r folder feature vad augment rate online tasks; do
  planned_runs+=("$folder")
  [[ ,$tasks, != *,network,* ]]   || networks+=("$folder")
  [[ ,$tasks, != *,ivector,* ]]   || ivectors+=("$folder")
  [[ ,$tasks, != *,extracted,* ]] || extracted+=("$folder")
  [[ ,$tasks, != *,learnt,* ]]    || learnt[$folder]=yes
  [[ ,$tasks, != *,adapts,* ]]    || adapts[$folder]=yes
  [[ ,$tasks, != *,normalises,* ]] || normalises[$folder]=yes
  [[ ,$tasks, != *,scored,* ]]    || scored+=("$folder")
  [[ ,$tasks, != *,ensemble,* ]]  || ensembles+=("$folder")
  [[ ,$tasks, != *,asked,* ]]     || runs+=("$folder")
  [[ $feature == - || " ${features[*]} " == *" $feature "* ]] || features+=("$feature")
  [[ $vad == - || " ${vads[*]} " == *" $feature/$vad "* ]] || vads+=("$feature/$vad")
  [[ $rate == - || " ${rates[*]} " == *" $rate "* ]] || rates+=("$rate")
  [[ $online == - || " ${onlines[*]} " == *" $online/$rate "* ]] || onlines+=("$online/$rate")
  [[ $augment != - ]] || continue
  augment_of[$folder]=$augment
  [[ " ${augments[*]} " == *" $augment "* ]] || augments+=("$augment")
  [[ " ${features_of[$augment]:-} " == *" $feature "* ]] || features_of[$augment]+=" $feature"
  [[ $vad == - || " ${vads_of[$augment]:-} " == *" $feature/$vad "* ]] || vads_of[$augment]+=" $feature/$vad"
done <<<"$plan"
((${#adapts[@]})) || adapt=''    # nobody learns from that set

# --- one run at a time in a place ---
if $dry_run; then
  export SV_DRY_RUN=$planned
else
  mkdir -p "$exp"
  exec 9>>"$exp/.lock"     # whatever is started from here holds it too
  flock --nonblock 9 || die "$exp is in use: $(cat "$exp/.lock"); wait for it, or end it, or choose another --work"
  settle() { # say who is here, and put the runs' configurations in their places
    printf '%s\n' "$(id -un)@$(hostname), process $$, since $(date '+%F %T')" >"$exp/.lock" || return
    local folder config
    for folder in "${planned_runs[@]}"; do
      [[ $folder == /* ]] && config=$planned/runs$folder/config.yaml || config=$planned/runs$(pwd -P)/$folder/config.yaml
      mkdir -p "$folder" && cp "$config" "$folder/.config.yaml.partial" || return
      mv "$folder/.config.yaml.partial" "$folder/config.yaml" || return
    done
  }
  why=$(settle 2>&1) || die "$exp: ${why##*: }; make room or choose another place with --work"
  export SV_STATUS=$exp/status SV_PARENT=$$ SV_COMMAND
fi

# --- what a recipe's blocks use ---
current=''
stage() { # stage N "what": whether stage N is to run; says so
  (($1 >= first && $1 <= last)) || return 1
  current=$1
  printf '\n== stage %s: %s\n' "$1" "$2"
  status "stage $1 ($2)"
}
store_set() { # store_set RATE SET: $stored is SET or, with --store, SET_stored, its recordings written anew
  stored=$2
  [[ -n $store ]] || return 0
  stored=$2_stored
  steps/convert_audio.sh --nj "$nj" --to "$store" --rate "$1" "${check_options[@]}" "$data/$2" "$data/$stored"
}
make_features() { # make_features SET...: what the systems read of each, on disk; recordings that they read are measured
  local set name rate
  for set; do
    for name in "${features[@]}"; do
      steps/make_feats.sh    --nj "$nj" "${feature_options[@]}" --conf "conf/features/$name.conf" "$data/$set"
    done
    for name in "${vads[@]}"; do
      steps/compute_vad.sh   --nj "$nj" "${audio_options[@]}" --conf "conf/vad/${name#*/}.conf" "$data/$set" "${name%/*}"
    done
    for rate in "${rates[@]}"; do
      steps/measure_audio.sh --nj "$nj" --rate "$rate" "$data/$set"
    done
  done
}
train_set() { # train_set SET RUN: what a run is trained on, the set or the set with its copies
  echo "$1${augment_of[$2]:+_combined_${augment_of[$2]}}"
}
augment_set() { # augment_set SET: copies of a set as systems ask for them, SET_aug_NAME, with it SET_combined_NAME; banks
  local set=$data/$1 corpus name feature vad copies online
  local material=() together=()
  ((${#augments[@]} || ${#onlines[@]})) || { echo "none of these systems is trained on augmented speech"; return; }
  for corpus in musan rirs; do
    [[ -n ${root[$corpus]:-} ]] || continue
    "$SV_PYTHON" "local/prepare_$corpus.py" "${material_options[@]}" "${root[$corpus]}" "$data/$corpus"
    material+=("--$corpus" "$data/$corpus")
  done
  for online in "${onlines[@]}"; do
    steps/make_noise_bank.sh --conf "conf/augment_online/${online%/*}.yaml" --rate "${online#*/}" "${material[@]}" "$data/banks"
  done
  for name in "${augments[@]}"; do
    copies=${set}_aug_$name together=()
    steps/augment_data.sh "${audio_options[@]}" --conf "conf/augment/$name.yaml" "${material[@]}" "$set" "$copies"
    for feature in ${features_of[$name]}; do
      steps/make_feats.sh --nj "$nj" "${feature_options[@]}" --conf "conf/features/$feature.conf" "$copies"
      together+=(--feats "$feature")
    done
    for vad in ${vads_of[$name]:-}; do
      steps/compute_vad.sh --copy-from "$set" --conf "conf/vad/${vad#*/}.conf" "$copies" "${vad%/*}"
      together+=(--vad "$vad")
    done
    steps/combine_data.sh "${together[@]}" "${set}_combined_$name" "$set" "$copies"
  done
}
status() { # status "what": where this run is, for whoever looks into exp/RECIPE/status; a full disk is told by others
  $dry_run || printf 'recipe %s, process %s on %s, since %s\n%s since %s\n' "$recipe" $$ "$(hostname)" "$started" \
    "$1" "$(date '+%F %T')" 2>/dev/null >"$exp/status" || true
}
# shellcheck disable=SC2329  # the trap below calls it
ended() { # says how to go on when a stage did not end well
  local code=$?
  rm -rf "$planned"
  [[ -n $current ]] || return 0
  ((code == 0)) || status "stage $current failed"
  case $code in
    0) ;;
    130 | 143) echo "run.sh: interrupted in stage $current of $recipe; go on with --stage $current" >&2 ;;
    *) echo "run.sh: stage $current of $recipe failed for the reason above; when that is mended, go on with" \
         "--stage $current, or with the earlier stage that it names" >&2 ;;
  esac
}
trap ended EXIT

began=$SECONDS started=$(date '+%F %T')
echo "recipe $recipe ($title), stages $first to $last"
printf 'runs:  %s\n' "${planned_runs[@]}"
echo "data:  $data"
run_stages
current=''
if $dry_run; then
  printf '\nThis was a dry run: nothing has been done.\n'
  exit 0
fi
status "stages $first to $last done"
printf '\ndone in %d:%02d.' $(((SECONDS - began) / 60)) $(((SECONDS - began) % 60))
if ((last == 9)); then
  echo " Results: $exp/report/results.md (table, with its figures beside it), all on a page:" \
    "$exp/report/report.html; runs below $exp"
else
  echo " Go on with --stage $((last + 1)); runs below $exp"
fi
exit
}
