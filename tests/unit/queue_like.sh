#!/usr/bin/env bash
# What tests use in place of Kaldi's queue.pl: [--mem SIZE] JOB=1:N LOG WORDS…
# Like it, this replaces JOB everywhere, joins the words for a shell (quoting only those with a space), writes
# a log a job, runs the jobs in the background, and ends them at SIGTERM.
set -u
[[ $1 == --mem ]] && shift 2
[[ $1 =~ ^([A-Za-z_]+)=1:([0-9]+)$ ]] || { echo "queue_like.sh: no JOB=1:N in: $*"; exit 2; }
name=${BASH_REMATCH[1]} jobs=${BASH_REMATCH[2]}
log=$2
shift 2
[[ $log == *"$name"* ]] || { echo "queue_like.sh: just one log for all jobs: $log"; exit 2; }
command=''
for word in "$@"; do
  [[ $word == *[[:space:]]* ]] && word="\"$word\""
  command+="$word "
done

pids=()
trap 'kill -TERM -- "${pids[@]}"; wait; exit 143' TERM
for ((job = 1; job <= jobs; job++)); do
  (exec bash -c "exec ${command//$name/$job}" >"${log//$name/$job}" 2>&1) &
  pids+=($!)
done
failed=0
for pid in "${pids[@]}"; do
  wait "$pid" || failed=$((failed + 1))
done
((failed == 0)) || { echo "queue_like.sh: $failed / $jobs failed, log is in ${log//$name/*}"; exit 1; }
