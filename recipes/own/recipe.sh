# shellcheck shell=bash disable=SC2034,SC2154
# own: your own recordings, in data directories that you have written (README, "Your own corpus"): one to train on, one
# with trial lists to test on. A corpus that needs more than that gets a recipe of its own: copy this one.

title="your own data directories"
default_systems=xvector-small
data_roots=(train test)             # data directories; that of the test has trials_NAME, and models if these are several utterances
# For augmentation; unlabelled speech to adapt to.
optional_roots=(musan rirs adapt)
hold_out=(--fraction 0.05)          # of the training speakers' sessions, to choose checkpoints by; --held-out
calibration_speakers=0              # --calibration-speakers

run_stages() {
  calibration=() calibrate_on=()          # the set of the speakers held out, if any, and the option that names its list
  ((calibration_speakers == 0)) || {
    calibration=(calibration) calibrate_on=(--calibration "$data/calibration/trials_calibration")
  }

  stage 0 "data: your directories, sessions held out" && {
    steps/combine_data.sh "$data/all" "${root[train]}"
    steps/combine_data.sh "$data/test" "${root[test]}"
    copy_lists "${root[test]}" "$data/test"
    dev=all apart=(--disjoint-from "$data/train")
    if ((calibration_speakers > 0)); then
      steps/hold_out.sh    --speakers "$calibration_speakers" "$data/all" "$data/rest" "$data/calibration"
      steps/make_trials.sh --targets 2000 --nontargets 2000 --name calibration "$data/calibration"
      dev=rest
    fi
    steps/hold_out.sh      "${hold_out[@]}" "$data/$dev" "$data/train" "$data/valid"
    steps/validate_data.sh --nj "$nj" --audio "${check_options[@]}" "$data/train"
    steps/validate_data.sh --nj "$nj" --audio "${check_options[@]}" "$data/valid"
    for set in "${calibration[@]}"; do
      steps/validate_data.sh --nj "$nj" --audio "${check_options[@]}" "${apart[@]}" "$data/$set"
      apart+=(--disjoint-from "$data/$set")
    done
    steps/validate_data.sh --nj "$nj" --audio "${check_options[@]}" --trials "${apart[@]}" "$data/test"
    if [[ -n ${root[adapt]:-} ]]; then
      "$SV_PYTHON" local/prepare_unlabelled.py "${root[adapt]}" "$data/adapt"
      steps/validate_data.sh --nj "$nj" --audio "${check_options[@]}" "$data/adapt"
    fi
  }
  tested=$data/test trials=() models=()   # lists; models of several utterances, if the test says so
  [[ -d $tested ]] || tested=${root[test]-}        # in a dry run from nothing
  for file in "$tested"/trials_*; do
    trials+=("$data/test/${file##*/}")
  done
  [[ ! -e $tested/models ]] || models=(--models "$data/test/models")

  stage 1 "features and VAD" && make_features train valid "${calibration[@]}" ${adapt:+adapt} test

  stage 2 "augmentation" && augment_set train

  stage 3 "classical front end: UBM and i-vector extractor" && {
    for run in "${ivectors[@]}"; do
      steps/train_ivector.sh "${gpu_options[@]}" --train "$data/$(train_set train "$run")" "$run"
    done
  }

  stage 4 "networks" && {
    for run in "${networks[@]}"; do
      steps/train.sh "${gpu_options[@]}" --train "$data/$(train_set train "$run")" \
        --valid "$data/valid" ${adapts[$run]:+--adapt "$data/adapt"} --banks "$data/banks" "$run"
    done
  }

  stage 5 "embeddings" && {
    for run in "${extracted[@]}"; do
      learns=${learnt[$run]-}${normalises[$run]-}
      for set in ${learns:+train} "${calibration[@]}" ${adapts[$run]:+adapt} test; do
        steps/extract.sh --nj "$nj" "${gpu_options[@]}" "$run" "$data/$set"
      done
    done
  }

  stage 6 "back ends" && {
    for run in "${scored[@]}"; do
      steps/train_backends.sh --train train ${adapts[$run]:+--adapt adapt} "$run"
    done
  }

  stage 7 "scores" && {
    for run in "${scored[@]}"; do
      for set in "${calibration[@]}"; do
        steps/score.sh "${score_options[@]}" --enrol "$set" --test "$set" "$run" "$data/$set/trials_calibration"
      done
      for list in "${trials[@]}"; do
        steps/score.sh "${score_options[@]}" --enrol test --test test "${models[@]}" "$run" "$list"
      done
    done
  }

  stage 8 "score normalisation, calibration, fusion" && {
    for run in "${ensembles[@]}"; do
      steps/ensemble.sh "${calibrate_on[@]}" "$run" "${trials[@]}"
    done
    ((calibration_speakers > 0)) || echo "nothing is calibrated; --calibration-speakers N holds training speakers out for it"
    for run in "${runs[@]}"; do
      for set in "${calibration[@]}"; do
        steps/calibrate.sh --calibration "$data/$set/trials_calibration" "$run" "${trials[@]}"
      done
    done
  }

  stage 9 "report" && {
    steps/plot_embeddings.sh --allow-none --set test --out "$exp/report/tsne_test.png" "${runs[@]}"
    steps/report.sh --title "$recipe" --out "$exp/report" --others "$exp" --tsne "$exp/report/tsne_test.png" \
      "${trials[@]/#/--trials=}" "${runs[@]}"
  }

  return 0
}

copy_lists() { # copy_lists FROM TO: trial lists, and models of several utterances, which combine_data.sh leaves behind
  local lists=("$1"/trials_*)
  [[ -e ${lists[0]} ]] || {
    echo "own: $1 has no trials_NAME; write one ('enrol test target|nontarget' a line), or let steps/make_trials.sh draw one" >&2
    exit 1
  }
  [[ ! -e $1/models ]] || lists+=("$1/models")
  $dry_run || { rm -f "$2"/trials_* "$2/models" && cp -p "${lists[@]}" "$2/"; }
}
