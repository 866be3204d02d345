#!/usr/bin/env bash
# Trains every combination that the interface promises to be exact, masked and over the wire, and replays each in plaintext PyTorch.
# Usage: matrix.sh [TOX21.h5]     (with the file, the Tox21 job too). Prints one table; exit 7 if a difference exceeds 1e-4.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
bin=${BIN:-$root/.build/release}
python=${PYTHON:-$root/.venv/bin/python}
tox21=${1:-${TOX21:-}}
state=$root/.cache/replay
rm -rf "$state"
mkdir -p "$state/runs"
chmod 700 "$state"
"$python" "$root/jobs/replay/synthetic.py" "$state"
"$bin/encryptor" keygen "$state/owner" >/dev/null
"$bin/trainer" keygen "$state/trainer" >/dev/null
"$bin/trainer" serve --keys "$state/trainer" --authorized "$state/owner/owner.pub" --store "$state/store" \
  --bind tcp://127.0.0.1:0 >"$state/endpoint" 2>"$state/trainer.log" &
trainer=$!
trap 'kill "$trainer" 2>/dev/null || true; wait "$trainer" 2>/dev/null || true' EXIT
for _ in $(seq 300); do
  grep -q '^listening ' "$state/endpoint" && break
  kill -0 "$trainer" 2>/dev/null || { cat "$state/trainer.log" >&2; exit 70; }
  sleep 0.1
done
endpoint=$(sed -n 's/^listening //p' "$state/endpoint")

failed=0
# replay NAME JOB [--set …]
replay() {
  local name=$1 job=$2 run=$state/runs/$1
  shift 2
  if ! "$bin/encryptor" run "$job" --keys "$state/owner" --trainer-key "$state/trainer/trainer.pub" --out "$run" \
    --set trainer="$endpoint" "$@" >"$run.log" 2>&1; then
    printf '%-44s %s\n' "$name" "the run failed: $(tail -n 1 "$run.log")"
    failed=1
    return
  fi
  local verdict=pass text
  text=$("$python" "$root/jobs/replay/replay.py" "$run" 2>"$run.replay.log") || { verdict=FAIL; failed=1; }
  printf '%-44s %-10s %s\n' "$name" "$(sed -n 's/^largest *\([^ ]*\).*/\1/p' <<<"$text")" "$verdict"
}

printf '%-44s %-10s %s\n' "job" "difference" "bar 1e-4"
for task in classification multilabel regression; do
  for side in owner trainer; do
    for optimizer in sgd muon adamw; do
      case $optimizer in
        sgd) settings=(--set optimizer.momentum=0.9 --set optimizer.nesterov=true) strength=rotation ;;
        muon) settings=(--set optimizer.lr=0.02) strength=rotation ;;
        adamw) settings=(--set optimizer.lr=0.003) strength=permutation ;;
      esac
      replay "$task-$optimizer-$strength-$side" "$root/jobs/replay/matrix/$task.yaml" --set optimizer.name=$optimizer \
        --set masking.strength=$strength --set loss.where=$side --set train.keep=best "${settings[@]}"
    done
  done
done
replay older-sgd-rotation-owner "$root/jobs/replay/matrix/older.yaml" --set optimizer.lr=0.02
replay older-sgd-rotation-trainer "$root/jobs/replay/matrix/older.yaml" --set loss.where=trainer --set optimizer.lr=0.02
[ ! -e "$root/.cache/10x_pbmc68k_reduced.h5ad" ] || replay pbmc "$root/jobs/pbmc.yaml"
[ -z "$tox21" ] || replay tox21 "$root/jobs/tox21.yaml" --set data.file="$tox21"
exit $((failed * 7))
