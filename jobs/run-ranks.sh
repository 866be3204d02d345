#!/usr/bin/env bash
# Runs a job against a trainer of several MPI processes on this machine, as run-local.sh does for one.
# Usage: run-ranks.sh RANKS THREADS JOB.yaml RUN [encryptor options …]     0 ranks: without mpirun.
# BIN: where the programs are (.build-mpi/release); ENCRYPTOR: another encryptor; STATE: keys, store, log. KILL=STEPS: kill the last rank
# when the history has so many lines. The run's exit code is that of the owner; the trainer's is the last line.
set -euo pipefail
ranks=$1 threads=$2 job=$3 run=$4
shift 4
root=$(cd "$(dirname "$0")/.." && pwd)
bin=${BIN:-$root/.build-mpi/release}
encryptor=${ENCRYPTOR:-$bin/encryptor}
state=${STATE:-$root/.cache/ranks}
. "$root/jobs/trainer.sh"
mkdir -p "$(dirname "$run")"

start_ranks "$ranks" "$state" --threads "$threads"
killer=
if [ -n "${KILL:-}" ]; then
  (
    while [ "$(wc -l <"$run/history.jsonl" 2>/dev/null || echo 0)" -lt "$KILL" ]; do
      sleep 0.02
      kill -0 "$trainer" 2>/dev/null || exit 0
    done
    pgrep -P "$trainer" -n -x trainer | xargs --no-run-if-empty kill -9
  ) &
  killer=$!
fi
code=0
"$encryptor" run "$job" --keys "$state/owner" --trainer-key "$state/trainer/trainer.pub" --out "$run" \
  --set trainer="$endpoint" "$@" || code=$?
[ -z "$killer" ] || kill "$killer" 2>/dev/null || true
if [ "$ranks" -gt 0 ]; then
  # Rank 0 says when to stop; it is the first that mpirun started.
  kill -TERM "$(pgrep -P "$trainer" -o -x trainer)" 2>/dev/null || true
else
  kill -TERM "$trainer" 2>/dev/null || true
fi
trap - EXIT
ended=0
wait "$trainer" || ended=$?
echo "trainer: $ended"
exit "$code"
