# shellcheck shell=bash disable=SC2034,SC2154
# voxceleb2: systems trained on VoxCeleb2's development part and tested on VoxCeleb1, all of it, list by list.

title="VoxCeleb2, tested on VoxCeleb1"
default_systems=HA4
data_roots=(voxceleb1 voxceleb2)
optional_roots=(voxceleb1_cd musan rirs adapt)  # of VoxSRC 2020; for augmentation; unlabelled speech to adapt to
hold_out=(--fraction 0.01)          # of the training speakers' sessions, to choose checkpoints by; --held-out
stores=yes                          # --store, of what is trained on
calibration_speakers=0              # the papers train on all 5,994; --calibration-speakers

has_tuning_list() { # whether there is VoxSRC 2020's validation list: in one of the roots or, after stage 0, in the set
  local name
  ((first == 0)) || { compgen -G "$data/vox1_eval/trials_voxsrc2020_val*" >/dev/null; return; }
  for name in voxceleb1 voxceleb1_cd; do
    [[ -z ${root[$name]:-} || ! -e ${root[$name]}/voxsrc2020_val.txt ]] || return 0
  done
  return 1
}
! has_tuning_list || tune_on=vox1_eval/trials_voxsrc2020_val

run_stages() {
  calibration=() calibrate_on=()          # the set of the speakers held out, if any, and the option that names its list
  ((calibration_speakers == 0)) || {
    calibration=(vox2_calibration) calibrate_on=(--calibration "$data/vox2_calibration/trials_calibration")
  }

  cohort=()                               # ten utterances of every speaker, if scores are normalised by them
  ((${#normalises[@]} == 0)) || cohort=(vox2_cohort)

  stage 0 "data: sets and trial lists, sessions held out" && {
    "$SV_PYTHON" local/prepare_voxceleb2.py "${root[voxceleb2]}" "$data"
    "$SV_PYTHON" local/prepare_voxceleb1_eval.py ${root[voxceleb1_cd]:+--cd "${root[voxceleb1_cd]}"} "${root[voxceleb1]}" "$data"
    store_set 16000 vox2_dev
    dev=$stored apart=(--disjoint-from "$data/vox2_train")
    if ((calibration_speakers > 0)); then
      steps/hold_out.sh    --speakers "$calibration_speakers" "$data/$stored" "$data/vox2_rest" "$data/vox2_calibration"
      steps/make_trials.sh --targets 2000 --nontargets 2000 --name calibration "$data/vox2_calibration"
      dev=vox2_rest
    fi
    steps/hold_out.sh      "${hold_out[@]}" "$data/$dev" "$data/vox2_train" "$data/vox2_valid"
    steps/validate_data.sh --nj "$nj" --audio --rate 16000 "${check_options[@]}" "$data/vox2_train"
    for set in "${cohort[@]}"; do
      steps/subset_data.sh --per-speaker 10 "$data/vox2_train" "$data/$set"
    done
    steps/validate_data.sh --nj "$nj" --audio --rate 16000 "${check_options[@]}" "$data/vox2_valid"
    for set in "${calibration[@]}"; do
      steps/validate_data.sh --nj "$nj" --audio --rate 16000 "${check_options[@]}" "${apart[@]}" "$data/$set"
      apart+=(--disjoint-from "$data/$set")
    done
    steps/validate_data.sh --nj "$nj" --audio --rate 16000 "${check_options[@]}" "${apart[@]}" "$data/vox1_eval"
    if [[ -n ${root[adapt]:-} ]]; then
      "$SV_PYTHON" local/prepare_unlabelled.py "${root[adapt]}" "$data/adapt"
      steps/validate_data.sh --nj "$nj" --audio "${check_options[@]}" "$data/adapt"
    fi
  }

  [[ -z $tune_on || ! -e $data/${tune_on}_other ]] || tune_on+=_other   # another list than the published one

  stage 1 "features and VAD" && make_features vox2_train "${cohort[@]}" vox2_valid "${calibration[@]}" ${adapt:+adapt} vox1_eval

  stage 2 "augmentation" && augment_set vox2_train
  stage 3 "classical front end: UBM and i-vector extractor" && {
    for run in "${ivectors[@]}"; do
      steps/train_ivector.sh "${gpu_options[@]}" --train "$data/$(train_set vox2_train "$run")" "$run"
    done
  }

  stage 4 "networks" && {
    for run in "${networks[@]}"; do
      steps/train.sh "${gpu_options[@]}" --train "$data/$(train_set vox2_train "$run")" \
        --valid "$data/vox2_valid" ${adapts[$run]:+--adapt "$data/adapt"} --banks "$data/banks" "$run"
    done
  }

  stage 5 "embeddings" && {
    for run in "${extracted[@]}"; do
      for set in ${learnt[$run]:+vox2_train} ${normalises[$run]:+vox2_cohort} "${calibration[@]}" ${adapts[$run]:+adapt} vox1_eval; do
        steps/extract.sh --nj "$nj" "${gpu_options[@]}" "$run" "$data/$set"
      done
    done
  }

  stage 6 "back ends" && {
    for run in "${scored[@]}"; do
      steps/train_backends.sh --train vox2_train --cohort vox2_cohort ${adapts[$run]:+--adapt adapt} "$run"
    done
  }

  stage 7 "scores" && {
    for run in "${scored[@]}"; do
      for set in "${calibration[@]}"; do
        steps/score.sh "${score_options[@]}" --enrol "$set" --test "$set" "$run" "$data/$set/trials_calibration"
      done
      for trials in "$data"/vox1_eval/trials_*; do
        steps/score.sh "${score_options[@]}" --enrol vox1_eval --test vox1_eval "$run" "$trials"
      done
    done
  }

  stage 8 "score normalisation, calibration, fusion" && {
    for run in "${ensembles[@]}"; do
      [[ -z $tune_on ]] || steps/fuse.sh "${calibrate_on[@]}" --tune-on "$data/$tune_on" "$run"
      steps/ensemble.sh "${calibrate_on[@]}" "$run" "$data"/vox1_eval/trials_*
    done
    ((calibration_speakers > 0)) || echo "nothing is calibrated; --calibration-speakers N holds training speakers out for it"
    for run in "${runs[@]}"; do
      for set in "${calibration[@]}"; do
        steps/calibrate.sh --calibration "$data/$set/trials_calibration" "$run" "$data"/vox1_eval/trials_*
      done
    done
  }

  stage 9 "report" && {
    trials=("$data"/vox1_eval/trials_*)
    steps/plot_embeddings.sh --allow-none --set vox1_eval --out "$exp/report/tsne_vox1_eval.png" "${runs[@]}"
    steps/report.sh --title "$recipe" --out "$exp/report" --others "$exp" --tsne "$exp/report/tsne_vox1_eval.png" \
      "${trials[@]/#/--trials=}" "${runs[@]}"
  }

  return 0
}
