#!/usr/bin/env bash
# Runs a job against a trainer of its own on this machine: makes keys, starts the trainer on a free port, trains, stops it.
# Usage: run-local.sh JOB.yaml RUN [encryptor options …]
set -euo pipefail
job=$1 run=$2
shift 2
root=$(cd "$(dirname "$0")/.." && pwd)
bin=${BIN:-$root/.build/release}
state=$root/.cache/local
. "$root/jobs/trainer.sh"

if [ -e "$run" ]; then
  before=$run.$(date +%Y%m%d-%H%M%S)
  echo "$run is from an earlier run; moved to $before"
  mv "$run" "$before"
fi
mkdir -p "$(dirname "$run")"

start_trainer "$state" "$bin/trainer"
echo "trainer at $endpoint, log in $state/trainer.log"
"$bin/encryptor" run "$job" --keys "$state/owner" --trainer-key "$state/trainer/trainer.pub" --out "$run" \
  --set trainer="$endpoint" "$@"
