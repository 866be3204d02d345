#!/usr/bin/env bash
# What ranks gain: one epoch of the section task on 1 rank of 1 thread, 2 ranks of 1, 1 rank of 2, in turns, and the share of the summation
# that the backward pass hides. Beside it what the machine allows: two jobs of one thread at the same time, which share nothing, and what
# would be left of that if they waited for each other after every step.
# Usage: ranks.sh PUBMED_FILE [RANKS=2] [ROUNDS=1]; after `make mpi` and `make minilm` (or its model). MICRO_BATCH=8: smaller ones balance better over ranks, larger ones are better for threads.
set -euo pipefail
file=$(realpath "$1") ranks=${2:-2} rounds=${3:-1}
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
train() { # RANKS THREADS NAME
  local run=$work/$3
  STATE=$run.state "$root/jobs/run-ranks.sh" "$1" "$2" "$root/jobs/pubmed-minilm.yaml" "$run" --set data.file="$file" \
    --set train.epochs=1 --set train.keep=last --set train.micro_batch="${MICRO_BATCH:-8}" --threads 1 >"$run.log" 2>&1 || { tail -n 5 "$run.log" >&2; exit 1; }
}
for round in $(seq "$rounds"); do
  for shape in "1 1" "$ranks 1" "1 $ranks"; do
    read -r processes threads <<<"$shape"
    train "$processes" "$threads" "$processes-$threads-$round"
  done
  train 1 1 "one-$round" & one=$!
  train 1 1 "other-$round" & other=$!
  wait "$one"
  wait "$other"
  python3 - "$work" "$ranks" "$round" <<'PYTHON'
import json, re, sys
work, ranks, round = sys.argv[1], int(sys.argv[2]), sys.argv[3]
def steps(shape):
    return [r["seconds"] for r in map(json.loads, open(f"{work}/{shape}-{round}/history.jsonl")) if r["kind"] == "step"][3:]
def seconds(shape): return sum(steps(shape))
one, across, within = seconds("1-1"), seconds(f"{ranks}-1"), seconds(f"1-{ranks}")
apart = one / seconds("one") + one / seconds("other")
together = 2 * one / sum(map(max, steps("one"), steps("other")))
print(f"round {round}: {ranks} ranks x 1 thread / 1 x 1: {one / across:.3f};  / 1 rank x {ranks} threads: {within / across:.3f};  "
      f"2 jobs of 1 thread at once / 1: {apart:.3f}, in lockstep {together:.3f}")
for line in open(f"{work}/{ranks}-1-{round}.state/trainer.log"):
    if "gradient sum" in line: print("  " + re.sub(r"job=\S+", "", line.strip()))
PYTHON
done
