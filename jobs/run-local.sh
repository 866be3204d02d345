#!/usr/bin/env bash
# Runs a job against a trainer of its own on this machine: makes keys, starts the trainer on a free port, trains, stops it.
# Usage: run-local.sh JOB.yaml RUN [encryptor options …]
set -euo pipefail
job=$1 run=$2
shift 2
root=$(cd "$(dirname "$0")/.." && pwd)
bin=${BIN:-$root/.build/release}
state=$root/.cache/local
mkdir -p "$state"
chmod 700 "$state"
[ -e "$state/owner/owner.key" ] || "$bin/encryptor" keygen "$state/owner" >/dev/null
[ -e "$state/trainer/trainer.key" ] || "$bin/trainer" keygen "$state/trainer" >/dev/null
{ echo "# owners this local trainer serves"; grep -v '^#' "$state/owner/owner.pub"; } >"$state/owners.txt"

if [ -e "$run" ]; then
  echo "$run is from an earlier run; moved to $run.$(date +%Y%m%d-%H%M%S)"
  mv "$run" "$run.$(date +%Y%m%d-%H%M%S)"
fi
mkdir -p "$(dirname "$run")"

"$bin/trainer" serve --keys "$state/trainer" --authorized "$state/owners.txt" --store "$state/store" \
  --bind tcp://127.0.0.1:0 >"$state/endpoint" 2>"$state/trainer.log" &
trainer=$!
trap 'kill "$trainer" 2>/dev/null || true; wait "$trainer" 2>/dev/null || true' EXIT
for _ in $(seq 100); do
  grep -q '^listening ' "$state/endpoint" && break
  kill -0 "$trainer" 2>/dev/null || { cat "$state/trainer.log" >&2; exit 70; }
  sleep 0.1
done
endpoint=$(sed -n 's/^listening //p' "$state/endpoint")
[ -n "$endpoint" ] || { echo "the trainer did not start; see $state/trainer.log" >&2; exit 70; }
echo "trainer at $endpoint, log in $state/trainer.log"
"$bin/encryptor" run "$job" --keys "$state/owner" --trainer-key "$state/trainer/trainer.pub" --out "$run" \
  --set trainer="$endpoint" "$@"
