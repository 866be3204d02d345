#!/usr/bin/env bash
# Shows that the trainer goes on by itself under Slurm: starts a cluster of one node in a scratch directory, trains a job once
# undisturbed and once requeued again and again in the middle (in turn warned, pre-empted, and one of its processes killed), and compares
# the final weights bit for bit. As root; needs Debian's slurm-wlm and munge, and ends every process it has started.
# The job is that of jobs/pbmc.yaml, with more epochs.
# Usage: test.sh   BIN=directory of both programs  REQUEUES=5  TASKS=1 (more: an MPI build)  MORE="trainer options"
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
bin=$(cd "${BIN:-$root/.build/release}" && pwd)
requeues=${REQUEUES:-5}
tasks=${TASKS:-1}
epochs=${EPOCHS:-300}
[ "$(id -u)" = 0 ] || { echo "a cluster of its own needs root" >&2; exit 1; }
for program in slurmctld slurmd munged python3; do
  command -v $program >/dev/null || { echo "missing: $program (make slurm-test installs it)" >&2; exit 1; }
done
source "$root/jobs/slurm/cluster.sh"

scratch=$(mktemp -d)
owner=
finish() {
  local code=$?
  trap - EXIT
  [ -z "$owner" ] || kill "$owner" 2>/dev/null || true
  stop_cluster
  if [ $code != 0 ]; then
    echo "failed; what is left is in $scratch" >&2
    tail -n 15 "$scratch"/*.log >&2 2>/dev/null || true
  else
    rm -rf "$scratch"
  fi
  exit $code
}
trap finish EXIT
trap 'exit 130' INT TERM
daemons=()
start_cluster "$scratch/cluster" 2>"$scratch/cluster.log"

cd "$scratch"
[ -e "$root/.cache/10x_pbmc68k_reduced.h5ad" ] || "$root/jobs/prepare/fetch-pbmc.sh" "$root/.cache/10x_pbmc68k_reduced.h5ad"
"$bin/encryptor" keygen owner >/dev/null
"$bin/trainer" keygen trainer >/dev/null
cp owner/owner.pub owners.txt
port=$(free_ports | cut -d' ' -f1)

export TRAINER=$bin/trainer TRAINER_KEYS=trainer TRAINER_OWNERS=owners.txt
export TRAINER_ARGUMENTS="--connect tcp://127.0.0.1:$port ${MORE:-}"
[ "$tasks" = 1 ] || export TRAINER_LAUNCH="srun --mpi=pmix --ntasks=$tasks"

run() {
  "$bin/encryptor" run "$root/jobs/pbmc.yaml" --set train.epochs="$epochs" --keys owner --trainer-key trainer/trainer.pub --out "$1" --threads 1 \
    --listen "tcp://127.0.0.1:$port" --patience "$2" "${@:3}"
}

# Both runs go out from one that is laid out and has met no trainer, because each run draws keys of its own.
run disturbed 1 >/dev/null 2>"prepare.log" && { echo "nobody was to be there" >&2; exit 70; } || true
cp -r disturbed undisturbed
steps=$(sed -n 's/.* epochs of \([0-9]*\) steps.*/\1/p' prepare.log | head -1)
total=$((steps * epochs))

submit() {
  TRAINER_STORE=store-$1 sbatch --parsable --ntasks="$tasks" --cpus-per-task=1 --overcommit --output="trainer-$1.log" \
    "$root/jobs/slurm/trainer.sbatch"
}
lines() { wc -l <disturbed/history.jsonl 2>/dev/null || echo 0; }
wait_for() { # seconds, what, command …
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    [ $SECONDS -lt $end ] || { echo "waited in vain: $what" >&2; return 1; }
    sleep 0.2
  done
}
has_lines() { [ "$(lines)" -ge "$1" ]; }
restarts() { scontrol show job "$job" | sed -n 's/.*Restarts=\([0-9]*\).*/\1/p'; }
has_restarted() { [ "$(restarts)" -ge "$1" ]; }
is_over() { ! squeue --noheader --states=RUNNING,COMPLETING --jobs="$job" 2>/dev/null | grep -q .; }
# Slurm keeps a requeued job back for two minutes, which are cut short here.
is_back() {
  scontrol update JobId="$job" StartTime=now 2>/dev/null || true
  [ "$(squeue --noheader --format=%T --jobs="$job")" = RUNNING ]
}

job=$(submit disturbed)
run disturbed 300 --resume >run-disturbed.txt 2>owner-disturbed.log &
owner=$!
for number in $(seq "$requeues"); do
  wait_for 120 "step $((total * number / (requeues + 1)))" has_lines $((total * number / (requeues + 1)))
  before=$(lines)
  # In turn as one that warns before a time limit, as a scheduler that wants the node, and as a process that dies.
  case $((number % 3)) in
  1) scancel --batch --signal=TERM "$job" ;;
  2) scontrol requeue "$job" ;;
  0) kill -9 "$(pgrep -n -f "$TRAINER serve .*--store store-disturbed")" ;;
  esac
  wait_for 60 "requeue $number" has_restarted "$number"
  wait_for 60 "the end of the job" is_over
  # In the second of its end a job's credential is not accepted again.
  sleep 3
  wait_for 60 "the job's return" is_back
  echo "requeued at step $before of $total, restart $(restarts)"
done
wait "$owner"
owner=
told=$(grep -c 'pre-empted' owner-disturbed.log || true)
[ "$told" -gt 0 ] || { echo "the owner was never told that the trainer is pre-empted" >&2; exit 70; }
scancel --batch --signal=TERM "$job"
scancel "$job"
wait_for 60 "the end of the job" is_over

job=$(submit undisturbed)
run undisturbed 300 --resume >run-undisturbed.txt 2>owner-undisturbed.log
scancel "$job"

grep -q "ranks=$tasks" trainer-disturbed.log || { echo "the trainer did not run on $tasks rank(s)" >&2; exit 70; }
cmp disturbed/model/model.safetensors undisturbed/model/model.safetensors
echo "requeued $requeues times ($told times told 'pre-empted'), $tasks task(s): weights bit-identical to the undisturbed run"
