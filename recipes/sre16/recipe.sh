# shellcheck shell=bash disable=SC2034,SC2154
# sre16: systems trained on SRE 2004 to 2010, Mixer 6 and Switchboard, tested on Cantonese and Tagalog calls of SRE 2016,
# of whose domain there are unlabelled calls as well.

title="NIST SRE 2016"
default_systems=ivector,xvector
data_roots=(sre16 sre16_dev)
optional_roots=(speaker_list sre04 sre05_train sre05_test sre06_train sre06_test1 sre06_test2 sre08 sre08_train sre10 mixer6
  swbd_cellular1 swbd_cellular2 swbd2_phase1 swbd2_phase2 swbd2_phase3 musan rirs mini)
[[ ! -v root[mini] ]] || data_roots=()
adapt=yes                 # to sre16_major
valid_speakers=5%         # held out, for the end of trainings and their best epoch
[[ ! -v root[mini] ]] || valid_speakers=8%   # of 120

has_dev_trials() { # whether there are trials of the development part: of an earlier run, generated, or of the corpora
  local place key
  [[ ! -e $data/sre16_dev_test/trials_dev && ${root[mini]-none} != '' ]] || return 0
  for place in "${root[sre16]:-}" "${root[sre16_dev]:-}" ${root[mini]:+"${root[mini]}/sre16_dev"}; do
    for key in "$place"/{,data/dev/R148_0_0/,R148_0_0/}docs/sre16_dev_trial_key.tsv; do
      [[ -z $place || ! -e $key ]] || return 0
    done
  done
  return 1
}
! has_dev_trials || calibrates=yes

given() { # given ROOT: whether it is; says so if not
  [[ -n ${root[$1]:-} ]] || { echo "$data: without $1, as no --data-root names it"; return 1; }
}

prepare_corpora() { # a set of every corpus that there is, and `sre` and `swbd` of these
  local sre=() swbd=() year name trees part
  for year in 2004 2005 2006; do
    trees=()
    for name in "sre${year:2}" "sre${year:2}"_{train,test,test1,test2}; do
      [[ -z ${root[$name]:-} ]] || trees+=("${root[$name]}")
    done
    ((${#trees[@]})) || { echo "$data: without sre$year, as no --data-root names any of it"; continue; }
    [[ -n ${root[speaker_list]:-} ]] || die "sre$year needs --data-root speaker_list=DIR (see recipes/sre16/README.md)"
    "$SV_PYTHON" local/prepare_sre04_to_06.py --year "$year" --speakers "${root[speaker_list]}" "${trees[@]}" "$data"
    sre+=("$data/sre$year")
  done
  if given sre08; then
    "$SV_PYTHON" local/prepare_sre08.py ${root[sre08_train]:+--train "${root[sre08_train]}"} "${root[sre08]}" "$data"
    sre+=("$data/sre08")
  fi
  if given sre10; then
    "$SV_PYTHON" local/prepare_sre10.py "${root[sre10]}" "$data"
    sre+=("$data/sre10")
  fi
  if given mixer6; then
    "$SV_PYTHON" local/prepare_mixer6.py "${root[mixer6]}" "$data"
    sre+=("$data/mx6")
  fi
  for part in cellular1 cellular2 phase1 phase2 phase3; do
    name=swbd_$part
    [[ $part == cellular* ]] || name=swbd2_$part
    given "$name" || continue
    "$SV_PYTHON" local/prepare_switchboard.py "$part" "${root[$name]}" "$data"
    swbd+=("$data/${name}_train")
  done
  ((${#sre[@]} && ${#swbd[@]})) || die "sre16 trains on SRE and Switchboard; name a root or more of each with --data-root"
  "$SV_PYTHON" local/prepare_sre16.py ${root[sre16_dev]:+--dev "${root[sre16_dev]}"} "${root[sre16]}" "$data"
  steps/combine_data.sh "$data/sre" "${sre[@]}"
  steps/combine_data.sh "$data/swbd" "${swbd[@]}"
}

run_stages() {
  stage 0 "data: sets of the corpora that there are, trials by language, speakers held out" && {
    if [[ -v root[mini] ]]; then      # synthetic calls, one folder a root
      corpus=${root[mini]:-$data/corpus}
      [[ -n ${root[mini]} ]] || "$SV_PYTHON" local/generate_mini.py --layout sre16 --nj "$nj" "$corpus"
      for name in sre16 "${optional_roots[@]}" sre16_dev; do
        [[ $name == mini || ! -d $corpus/$name ]] || root["$name"]=$corpus/$name
      done
    fi
    if $dry_run && [[ -v root[mini] && ! -d $corpus ]]; then
      echo "$data: its sets would be made of the corpus"
    else
      prepare_corpora
    fi
    steps/combine_data.sh  "$data/swbd_sre" "$data/swbd" "$data/sre"
    steps/hold_out.sh      --speakers "$valid_speakers" "$data/swbd_sre" "$data/swbd_sre_train" "$data/swbd_sre_valid"
    for set in swbd_sre_train swbd_sre_valid sre16_major sre16_eval_enroll; do   # Mixer 6's microphones are at 16 kHz
      steps/validate_data.sh --nj "$nj" --audio "${check_options[@]}" "$data/$set"
    done
    steps/validate_data.sh --nj "$nj" --audio --rate 8000 "${check_options[@]}" --disjoint-from "$data/swbd_sre_train" \
      --enrol "$data/sre16_eval_enroll" "$data/sre16_eval_test"
    if [[ -e $data/sre16_dev_test/trials_dev ]]; then
      steps/validate_data.sh --nj "$nj" --audio --rate 8000 "${check_options[@]}" "$data/sre16_dev_enroll"
      steps/validate_data.sh --nj "$nj" --audio --rate 8000 "${check_options[@]}" --disjoint-from "$data/swbd_sre_train" \
        --disjoint-from "$data/sre16_eval_test" --enrol "$data/sre16_dev_enroll" "$data/sre16_dev_test"
    fi
  }

  lists=("$data"/sre16_eval_test/trials_{pooled,yue,tgl})
  calibration=$data/sre16_dev_test/trials_dev      # of other people, in other languages
  [[ -e $calibration ]] || calibration=''

  major=()         # the unlabelled calls: the UBM is trained on them, some adapt to them, and they are the cohort
  [[ -z $adapt && -z ${ivectors[*]} && -z ${normalises[*]} ]] || major=(sre16_major)

  stage 1 "features and VAD" && make_features swbd_sre_train swbd_sre_valid "${major[@]}" sre16_eval_enroll sre16_eval_test \
    ${calibration:+sre16_dev_enroll sre16_dev_test}

  stage 2 "augmentation" && augment_set swbd_sre_train

  stage 3 "classical front end: UBM, of the unlabelled calls, and i-vector extractor" && {
    for run in "${ivectors[@]}"; do
      steps/train_ivector.sh "${gpu_options[@]}" --train "$data/$(train_set swbd_sre_train "$run")" --ubm "$data/sre16_major" "$run"
    done
  }

  stage 4 "networks" && {
    for run in "${networks[@]}"; do
      steps/train.sh "${gpu_options[@]}" --train "$data/$(train_set swbd_sre_train "$run")" \
        --valid "$data/swbd_sre_valid" --adapt "$data/sre16_major" --banks "$data/banks" "$run"
    done
  }

  stage 5 "embeddings" && {
    for run in "${extracted[@]}"; do
      unlabelled=${adapts[$run]-}${normalises[$run]-}
      for set in ${learnt[$run]:+"$(train_set swbd_sre_train "$run")"} ${unlabelled:+sre16_major} \
        sre16_eval_enroll sre16_eval_test ${calibration:+sre16_dev_enroll sre16_dev_test}; do
        steps/extract.sh --nj "$nj" "${gpu_options[@]}" "$run" "$data/$set"
      done
    done
  }

  stage 6 "back ends, of SRE's speakers alone" && {
    for run in "${scored[@]}"; do
      steps/train_backends.sh --train "$(train_set swbd_sre_train "$run")" --speakers-of "$data/sre" --adapt sre16_major \
        --cohort sre16_major "$run"
    done
  }

  stage 7 "scores" && {
    for run in "${scored[@]}"; do
      for trials in "${lists[@]}"; do
        steps/score.sh "${score_options[@]}" --enrol sre16_eval_enroll --test sre16_eval_test \
          --models "$data/sre16_eval_enroll/models" "$run" "$trials"
      done
      [[ -z $calibration ]] || steps/score.sh "${score_options[@]}" --enrol sre16_dev_enroll --test sre16_dev_test \
        --models "$data/sre16_dev_enroll/models" "$run" "$calibration"
    done
  }

  stage 8 "score normalisation, calibration, fusion" && {
    for run in "${ensembles[@]}"; do
      steps/ensemble.sh ${calibration:+--calibration "$calibration"} "$run" "${lists[@]}"
    done
    [[ -n $calibration ]] || echo "nothing is calibrated, as $data has no trials of SRE16's development part"
    for run in ${calibration:+"${runs[@]}"}; do
      steps/calibrate.sh --prior 0.01 --calibration "$calibration" "$run" "${lists[@]}"
    done
  }

  stage 9 "report" && {
    steps/plot_embeddings.sh --allow-none --set sre16_eval_test --out "$exp/report/tsne_sre16_eval_test.png" "${runs[@]}"
    steps/report.sh --title "$recipe" --out "$exp/report" --others "$exp" --enrol "$data/sre16_eval_enroll" \
      --tsne "$exp/report/tsne_sre16_eval_test.png" "${lists[@]/#/--trials=}" "${runs[@]}"
  }

  return 0
}
