# shellcheck shell=bash disable=SC2034,SC2154
# mini: a corpus of synthetic speech, generated on the spot in VoxCeleb1's layout. Proves the pipeline on two cores
# in minutes and compares systems in the small; says nothing about real speakers.

title="synthetic speech, generated on the spot"
default_systems=xvector-small,ivector-small
data_roots=()
# A corpus made with other options; for augmentation; unlabelled speech to adapt to.
optional_roots=(mini musan rirs adapt)
hold_out=(--fraction 0.1) # of the training speakers' sessions, to choose checkpoints by; --held-out
stores=yes                # --store
calibration_speakers=20   # of the 200 for training; --calibration-speakers

run_stages() {
  calibration=() calibrate_on=()          # the set of the speakers held out, if any, and the option that names its list
  ((calibration_speakers == 0)) || {
    calibration=(vox1_calibration) calibrate_on=(--calibration "$data/vox1_calibration/trials_calibration")
  }

  stage 0 "data: generate the corpus, prepare its sets, hold out sessions" && {
    corpus=${root[mini]:-$data/corpus}
    [[ -n ${root[mini]:-} ]] || "$SV_PYTHON" local/generate_mini.py --nj "$nj" "$corpus"
    if $dry_run && [[ ! -d $corpus ]]; then
      echo "$data: its sets would be made of the corpus"
    else
      "$SV_PYTHON" local/prepare_voxceleb1.py --trials mini_synthetic=veri_test2.txt "$corpus" "$data"
    fi
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
      steps/score.sh "${score_options[@]}" --enrol vox1_test --test vox1_test "$run" "$data/vox1_test/trials_mini_synthetic"
    done
  }

  stage 8 "score normalisation, calibration, fusion" && {
    for run in "${ensembles[@]}"; do
      steps/ensemble.sh "${calibrate_on[@]}" "$run" "$data/vox1_test/trials_mini_synthetic"
    done
    ((calibration_speakers > 0)) || echo "nothing is calibrated; --calibration-speakers N holds training speakers out for it"
    for run in "${runs[@]}"; do
      for set in "${calibration[@]}"; do
        steps/calibrate.sh --calibration "$data/$set/trials_calibration" "$run" "$data/vox1_test/trials_mini_synthetic"
      done
    done
  }

  stage 9 "report" && {
    steps/plot_embeddings.sh --allow-none --set vox1_test --out "$exp/report/tsne_vox1_test.png" "${runs[@]}"
    steps/report.sh --title "$recipe" --out "$exp/report" --others "$exp" --tsne "$exp/report/tsne_vox1_test.png" \
      --trials "$data/vox1_test/trials_mini_synthetic" "${runs[@]}"
  }

  return 0
}
