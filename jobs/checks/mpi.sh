#!/usr/bin/env bash
# Trains with two MPI processes on this machine: the same bits twice, the numbers of one process, a rank killed half-way with the job resumed
# to the same bits, and orderly stops while ranks answer rank 0.
# Usage: mpi.sh BIN [JOB options …]; needs the single-cell file of `make run`.
set -euo pipefail
export BIN=$1
shift
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export STATE=$work/state
# Without keys, so that runs can be compared to the bit; with an activation that has no kink, which a row can cross by rounding.
job=("$root/jobs/pbmc.yaml" --set masking.strength=none --set masking.padding=0 --set model.mlp.activation=gelu --set train.keep=last
  --set "train.epochs=${EPOCHS:-8}" --set checkpoint.every_steps=7 "$@")

train() { # RANKS RUN [options]: the trainer's exit code
  "$root/jobs/run-ranks.sh" "$1" 1 "${job[0]}" "$work/$2" "${job[@]:1}" "${@:3}" >"$work/$2.log" 2>&1 || {
    [ -n "${MAY_FAIL:-}" ] || { tail -n 5 "$work/$2.log" "$STATE/trainer.log" >&2; exit 1; }
  }
  sed -n 's/^trainer: //p' "$work/$2.log"
}
model() { echo "$work/$1/model/model.safetensors"; }
refuse() { echo "mpi: $1" >&2; exit 7; }

[ "$(train 2 first)" = 0 ] || refuse "two ranks did not stop in good order"
[ "$(train 2 second)" = 0 ] || refuse "two ranks did not stop in good order"
cmp -s "$(model first)" "$(model second)" || refuse "two runs of two ranks differ"
echo "two ranks, twice: the same bits"
[ "$(train 1 one)" = 0 ] && [ "$(train 0 alone)" = 0 ] || refuse "one rank did not stop in good order"
cmp -s "$(model one)" "$(model alone)" || refuse "one rank differs from none"
echo "one rank: the bits of a trainer without MPI"
python3 - "$(model first)" "$(model alone)" <<'PYTHON' || refuse "two ranks differ from one"
import array, json, struct, sys
def read(path):
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    return array.array("f", data[8 + size:])
a, b = read(sys.argv[1]), read(sys.argv[2])
difference = max(abs(x - y) for x, y in zip(a, b)) / max(map(abs, b))
print(f"two ranks and one: largest difference {difference:.1e} of the largest weight")
sys.exit(difference > 1e-5)
PYTHON
ended=$(MAY_FAIL=1 KILL=50 train 2 killed --patience 3)
if [ -e "$(model killed)" ]; then refuse "the run was over before the rank was killed; set EPOCHS"; fi
[ "$ended" != 0 ] || refuse "the trainer lost a rank and ended as if nothing had been"
grep -q 'the trainer stops\|is gone' "$work/killed.log" || refuse "the owner was not told: $(tail -2 "$work/killed.log")"
[ "$(train 2 killed --resume)" = 0 ] || refuse "the trainer that went on did not stop in good order"
cmp -s "$(model first)" "$(model killed)" || refuse "the run whose rank was killed differs"
echo "a rank killed: exit $ended, the owner told, and resumed to the same bits"

# SIGCONT has rank 0 ask the others for a sign of life, ten times a second: questions and answers cross the stop, and none may be left behind.
# Three trainers at a time, so that they cross in many ways.
bin=$BIN
. "$root/jobs/trainer.sh"
stops() { # STATE: the exit code of each, and what the log of one that failed said last
  for _ in $(seq 20); do
    start_ranks 2 "$1"
    first=$(pgrep -P "$trainer" -o -x trainer)
    kill -CONT "$first"
    sleep "0.00$((RANDOM % 10))"
    [ $((RANDOM % 2)) = 0 ] || sleep "0.0$((RANDOM % 90 + 10))"
    kill -TERM "$first"
    if wait "$trainer"; then echo 0; else echo "$?: $(tail -n 2 "$1/trainer.log" | tr '\n' ' ')"; fi
  done
}
mkdir "$work/ends"
for one in 1 2 3; do
  stops "$work/idle-$one" >"$work/ends/$one" &
done
wait
orderly=$(cat "$work"/ends/* | grep -cx 0) || true
[ "$orderly" = 60 ] || refuse "only $orderly of 60 stops were orderly: $(cat "$work"/ends/* | grep -vx 0)"
echo "60 stops while ranks answer: exit 0 each"
