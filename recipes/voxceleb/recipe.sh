# shellcheck shell=bash disable=SC2034,SC2154
# voxceleb: systems trained on VoxCeleb1's development part and tested on its test part, list by list.

title="VoxCeleb1"
default_systems=vox1-xvector
data_roots=(voxceleb1)
optional_roots=(musan rirs adapt)   # for augmentation; unlabelled speech to adapt to
hold_out=(--fraction 0.05)          # of the training speakers' sessions, to choose checkpoints by; --held-out
stores=yes                          # --store
calibration_speakers=0              # the papers train on all 1,211; --calibration-speakers

run_stages() {
  calibration=() calibrate_on=()          # the set of the speakers held out, if any, and the option that names its list
  ((calibration_speakers == 0)) || {
    calibration=(vox1_calibration) calibrate_on=(--calibration "$data/vox1_calibration/trials_calibration")
  }

  stage 0 "data: sets and trial lists, sessions held out" && {
    "$SV_PYTHON" local/prepare_voxceleb1.py "${root[voxceleb1]}" "$data"
    store_set 16000 vox1_dev
    dev=$stored apart=(--disjoint-from "$data/vox1_train")
    if ((calibration_speakers > 0)); then
      steps/hold_out.sh    --speakers "$calibration_speakers" "$data/$stored" "$data/vox1_rest" "$data/vox1_calibration"
      steps/make_trials.sh --targets 2000 --nontargets 2000 --name calibration "$data/vox1_calibration"
      dev=vox1_rest
    fi
    steps/hold_out.sh      "${hold_out[@]}" "$data/$dev" "$data/vox1_train" "$data/vox1_valid"
    steps/validate_data.sh --nj "$nj" --audio --rate 16000 "${check_options[@]}" "$data/vox1_train"
    steps/validate_data.sh --nj "$nj" --audio --rate 16000 "${check_options[@]}" "$data/vox1_valid"
    for set in "${calibration[@]}"; do
      steps/validate_data.sh --nj "$nj" --audio --rate 16000 "${check_options[@]}" "${apart[@]}" "$data/$set"
      apart+=(--disjoint-from "$data/$set")
    done
    steps/validate_data.sh --nj "$nj" --audio --rate 16000 "${check_options[@]}" "${apart[@]}" "$data/vox1_test"
    if [[ -n ${root[adapt]:-} ]]; then
      "$SV_PYTHON" local/prepare_unlabelled.py "${root[adapt]}" "$data/adapt"
      steps/validate_data.sh --nj "$nj" --audio "${check_options[@]}" "$data/adapt"
    fi
  }

  stage 1 "features and VAD" && make_features vox1_train vox1_valid "${calibration[@]}" ${adapt:+adapt} vox1_test

  stage 2 "augmentation" && augment_set vox1_train
  stage 3 "classical front end: UBM and i-vector extractor" && {
    for run in "${ivectors[@]}"; do
      steps/train_ivector.sh "${gpu_options[@]}" --train "$data/$(train_set vox1_train "$run")" "$run"
    done
  }

  stage 4 "networks" && {
    for run in "${networks[@]}"; do
      steps/train.sh "${gpu_options[@]}" --train "$data/$(train_set vox1_train "$run")" \
        --valid "$data/vox1_valid" ${adapts[$run]:+--adapt "$data/adapt"} --banks "$data/banks" "$run"
    done
  }

  stage 5 "embeddings" && {
    for run in "${extracted[@]}"; do
      train=${learnt[$run]-}${normalises[$run]-}
      for set in ${train:+vox1_train} "${calibration[@]}" ${adapts[$run]:+adapt} vox1_test; do
        steps/extract.sh --nj "$nj" "${gpu_options[@]}" "$run" "$data/$set"
      done
    done
  }

  stage 6 "back ends" && {
    for run in "${scored[@]}"; do
      steps/train_backends.sh --train vox1_train ${adapts[$run]:+--adapt adapt} "$run"
    done
  }

  stage 7 "scores" && {
    for run in "${scored[@]}"; do
      for set in "${calibration[@]}"; do
        steps/score.sh "${score_options[@]}" --enrol "$set" --test "$set" "$run" "$data/$set/trials_calibration"
      done
      for trials in "$data"/vox1_test/trials_*; do
        steps/score.sh "${score_options[@]}" --enrol vox1_test --test vox1_test "$run" "$trials"
      done
    done
  }

  stage 8 "score normalisation, calibration, fusion" && {
    for run in "${ensembles[@]}"; do
      [[ -z $tune_on ]] || steps/fuse.sh "${calibrate_on[@]}" --tune-on "$data/$tune_on" "$run"
      steps/ensemble.sh "${calibrate_on[@]}" "$run" "$data"/vox1_test/trials_*
    done
    ((calibration_speakers > 0)) || echo "nothing is calibrated; --calibration-speakers N holds training speakers out for it"
    for run in "${runs[@]}"; do
      for set in "${calibration[@]}"; do
        steps/calibrate.sh --calibration "$data/$set/trials_calibration" "$run" "$data"/vox1_test/trials_*
      done
    done
  }

  stage 9 "report" && {
    trials=("$data"/vox1_test/trials_*)
    steps/plot_embeddings.sh --allow-none --set vox1_test --out "$exp/report/tsne_vox1_test.png" "${runs[@]}"
    steps/report.sh --title "$recipe" --out "$exp/report" --others "$exp" --tsne "$exp/report/tsne_vox1_test.png" \
      "${trials[@]/#/--trials=}" "${runs[@]}"
  }

  return 0
}
