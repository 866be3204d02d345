#!/usr/bin/env bash
# Runs a charter's federation with every strategy in one process, with secure sums and masks, and repeats each in plaintext PyTorch.
# Usage: federation-matrix.sh CHARTER.yaml DIR [--set key=value …]      The site files are CHARTER-NAME.yaml, beside it; with SITES=OTHER.yaml OTHER-NAME.yaml.
# Prints a line a strategy; exit 7 if a difference exceeds 1e-4 or a run fails. Keys: jobs/federation/keys.sh CHARTER.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }
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

failed=0
# strategy NAME 'SETTINGS' STRENGTH [--set …]
strategy() {
  local name=$1 settings=$2 strength=$3
  shift 3
  if ! "$bin/encryptor" simulate "$charter" "${sites[@]}" --out "$directory/$name" \
    --set "federation.strategy={name: $name$settings, weighting: ${weighting:-rows}}" --set "federation.masking.strength=$strength" "$@" \
    >"$directory/$name.log" 2>&1; then
    echo "$name: the run failed: $(tail -n 1 "$directory/$name.log")" >&2
    failed=7
    return 0
  fi
  printf '%-10s %-11s ' "$name" "$strength"
  "$python" "$root/jobs/replay/federation.py" "$directory/$name" | paste -sd ';' - || failed=7
}

strategy fedavg '' rotation "$@"
strategy fedavgm ', momentum: 0.9' rotation "$@"
strategy fedprox ', mu: 0.1' rotation "$@"
strategy scaffold "" rotation "$@" --set optimizer.momentum=0.0 --set optimizer.weight_decay=0.0 --set optimizer.clip_norm=none
# Rules that work entry by entry allow no rotations.
strategy fedadagrad ', tau: 0.001' permutation "$@"
strategy fedadam ', tau: 0.001' permutation "$@"
strategy fedyogi ', tau: 0.001' permutation "$@"
exit "$failed"
