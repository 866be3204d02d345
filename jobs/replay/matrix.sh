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

# train NAME JOB [--set …]
failed=0
runs=()
train() {
  local name=$1 job=$2
  shift 2
  if "$bin/encryptor" run "$job" --keys "$state/owner" --trainer-key "$state/trainer/trainer.pub" --out "$state/runs/$name" \
    --set trainer="$endpoint" "$@" >"$state/runs/$name.log" 2>&1; then
    runs+=("$state/runs/$name")
  else
    echo "$name: the run failed: $(tail -n 1 "$state/runs/$name.log")" >&2
    failed=7
  fi
}

for task in classification multilabel regression; do
  for side in owner trainer; do
    for optimizer in sgd muon adamw; do
      case $optimizer in
        sgd) settings=(--set optimizer.momentum=0.9 --set optimizer.nesterov=true) strength=rotation ;;
        muon) settings=(--set optimizer.lr=0.02) strength=rotation ;;
        adamw) settings=(--set optimizer.lr=0.003) strength=permutation ;;
      esac
      train "$task-$optimizer-$strength-$side" "$root/jobs/replay/matrix/$task.yaml" --set optimizer.name=$optimizer \
        --set masking.strength=$strength --set loss.where=$side --set train.keep=best "${settings[@]}"
    done
  done
done
train older-sgd-rotation-owner "$root/jobs/replay/matrix/older.yaml" --set optimizer.lr=0.02
train older-sgd-rotation-trainer "$root/jobs/replay/matrix/older.yaml" --set loss.where=trainer --set optimizer.lr=0.02
[ ! -e "$root/.cache/10x_pbmc68k_reduced.h5ad" ] || train pbmc "$root/jobs/pbmc.yaml"
[ -z "$tox21" ] || train tox21-gelu "$root/jobs/tox21.yaml" --set data.file="$tox21" --set model.mlp.activation=gelu
[ ${#runs[@]} = 0 ] || "$python" "$root/jobs/replay/replay.py" "${runs[@]}" || failed=$?
if [ -n "$tox21" ]; then
  # Not judged: over 800 steps at this learning rate some row comes so close to ReLU's kink that a rounding error decides its side, and
  # from there two runs part, in PyTorch too.
  train tox21 "$root/jobs/tox21.yaml" --set data.file="$tox21"
  { "$python" "$root/jobs/replay/replay.py" --rounding "$state/runs/tox21" || true; } | sed -n 's/^largest *\([^ ]*\).*/tox21 (ReLU, not judged): \1/p; /float64/p'
fi
exit $failed
