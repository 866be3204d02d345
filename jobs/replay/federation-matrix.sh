#!/usr/bin/env bash
# Runs a charter's federation with every strategy in one process, with secure sums and masks, and repeats each in plaintext PyTorch.
# Usage: federation-matrix.sh CHARTER.yaml DIR [--set key=value …]      The site files are CHARTER-NAME.yaml, beside it; with SITES=OTHER.yaml OTHER-NAME.yaml.
# With PROVIDER=1 all parties are processes of their own and the first site trains at a provider, under masks of its own; where the charter has records'
# privacy that provider gets them unmasked, since its noise can be repeated then. ONLY='fedprox scaffold' takes some of the runs.
# Prints a line a run; exit 7 if a difference exceeds 1e-4 or a run fails. Keys: jobs/federation/keys.sh CHARTER.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,7s/^# //p' "$0" >&2; exit 2; }
root=$(cd "$(dirname "$0")/../.." && pwd)
bin=${BIN:-$root/.build/release}
python=${PYTHON:-$root/.venv/bin/python}
charter=$1 directory=$2 files=${SITES:-$1}
shift 2
sites=()
for site in $(sed -n 's/^ *- {name: *\([A-Za-z0-9._-]*\),.*/\1/p' "$charter"); do sites+=("${files%.yaml}-$site.yaml"); done
weighting=$(sed -n 's/.*weighting: *\([a-z]*\).*/\1/p' "$charter" | head -n 1)
"$root/jobs/federation/keys.sh" "$root/.cache/federation/keys" --of "$charter" >/dev/null
rm -rf "$directory"
mkdir -p "$directory"

# All parties, each a process: variant NAME [--set key=value …]
processes() {
  local name=$1 changes=() variant=$directory/$1.yaml
  shift
  while [ $# -gt 0 ]; do changes+=("$2"); shift 2; done
  "$python" "$root/jobs/replay/variant.py" "$charter" "$variant" "${changes[@]}"
  # Noise of records is drawn on what the provider has masked: without its masks nobody can repeat it.
  local masking=${PROVIDER_MASKING:-}
  if grep -q 'unit: record' "$variant"; then masking=none; fi
  BIN=$bin PROVIDER_MASKING=$masking "$root/jobs/federation/run-local.sh" "$variant" "$directory/$name" "$files"
}

failed=0
# run NAME STRENGTH [--set key=value …]
run() {
  local name=$1 strength=$2
  shift 2
  case " ${ONLY:-$name} " in *" $name "*) ;; *) return 0 ;; esac
  local settings=(--set "federation.masking.strength=$strength" "$@")
  if [ -n "${PROVIDER:-}" ]; then
    processes "$name" "${settings[@]}" >"$directory/$name.log" 2>&1
  else
    "$bin/encryptor" simulate "$charter" "${sites[@]}" --out "$directory/$name" "${settings[@]}" >"$directory/$name.log" 2>&1
  fi || {
    echo "$name: the run failed: $(tail -n 1 "$directory/$name.log")" >&2
    failed=7
    return 0
  }
  printf '%-10s %-11s ' "$name" "$strength"
  "$python" "$root/jobs/replay/federation.py" "$directory/$name" | paste -sd ';' - || failed=7
}

strategy() {
  local name=$1 settings=$2 strength=$3
  shift 3
  run "$name" "$strength" --set "federation.strategy={name: $name$settings, weighting: ${weighting:-rows}}" "$@"
}

strategy fedavg '' rotation "$@"
strategy fedavgm ', momentum: 0.9' rotation "$@"
strategy fedprox ', mu: 0.1' rotation "$@"
strategy scaffold "" rotation "$@" --set optimizer.momentum=0.0 --set optimizer.weight_decay=0.0 --set optimizer.clip_norm=none
# Rules that work entry by entry allow no rotations.
strategy fedadagrad ', tau: 0.001' permutation "$@"
strategy fedadam ', tau: 0.001' permutation "$@"
strategy fedyogi ', tau: 0.001' permutation "$@"
# Rates that rise and fall over the steps of all rounds.
run schedule rotation "$@" --set 'schedule={warmup: 0.2, decay: cosine}'
if grep -q 'unit: record' "$charter"; then
  run sites rotation "$@" --set 'federation.privacy={unit: site, clip_norm: 1.0, epsilon: 8.0, delta: 1.0e-3}' --set federation.fixed_point.update_clip=64
fi
exit "$failed"
