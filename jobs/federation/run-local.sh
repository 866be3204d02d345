#!/usr/bin/env bash
# Runs a federation on this machine: makes the keys of all parties, starts the aggregator and every site as a process of its own, waits for the
# model. DIR/NAME is the run directory of a site, DIR/aggregator the aggregator's store; logs are beside them.
# With PROVIDER=1 the first site trains at a provider, a trainer of its own process, as one without processors would; PROVIDER_MASKING is the strength of
# its masks, if not the default.
# Usage: run-local.sh CHARTER.yaml DIR [OTHER.yaml]     The site files are CHARTER-NAME.yaml, beside it, or OTHER-NAME.yaml.
set -euo pipefail
[ $# -eq 2 ] || [ $# -eq 3 ] || { sed -n '2,7s/^# //p' "$0" >&2; exit 2; }
charter=$1 run=$2 files=${3:-$1}
root=$(cd "$(dirname "$0")/../.." && pwd)
bin=${BIN:-$root/.build/release}
keys=$root/.cache/federation/keys
mapfile -t sites < <(sed -n 's/^ *- {name: *\([A-Za-z0-9._-]*\),.*/\1/p' "$charter")

if [ -e "$run" ]; then
  before=$run.$(date +%Y%m%d-%H%M%S)
  echo "$run is from an earlier run; moved to $before"
  mv "$run" "$before"
fi
mkdir -p "$run"
BIN=$bin "$root/jobs/federation/keys.sh" "$keys" --of "$charter"
[ -e "$keys/group.key" ] || "$bin/encryptor" group-key "$keys" >/dev/null

started=()
trap 'for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done; wait' EXIT
address=$(sed -n 's/.*address: *"\{0,1\}\(tcp:[^",}]*\).*/\1/p' "$charter" | head -n 1)
"$bin/aggregator" serve --keys "$keys/aggregator" --charter "$charter" --store "$run/aggregator" --bind "$address" \
  >"$run/aggregator.out" 2>"$run/aggregator.log" &
aggregator=$!
started+=("$aggregator")
until grep -q '^listening' "$run/aggregator.out"; do
  kill -0 "$aggregator" 2>/dev/null || { cat "$run/aggregator.log" >&2; exit 1; }
  sleep 0.1
done
echo "aggregator $(cat "$run/aggregator.out"), log in $run/aggregator.log; ${#sites[@]} sites, logs beside it"

# What the first site's owner key is listed at, and how that site names it.
provided=()
if [ -n "${PROVIDER:-}" ]; then
  [ -e "$keys/provider/trainer.key" ] || "$bin/trainer" keygen "$keys/provider" >/dev/null
  "$bin/trainer" serve --keys "$keys/provider" --authorized "$keys/${sites[0]}/owner.pub" --store "$run/provider" \
    --bind tcp://127.0.0.1:0 --threads 1 >"$run/provider.out" 2>"$run/provider.log" &
  provider=$!
  started+=("$provider")
  until grep -q '^listening' "$run/provider.out"; do
    kill -0 "$provider" 2>/dev/null || { cat "$run/provider.log" >&2; exit 1; }
    sleep 0.1
  done
  address=$(sed -n 's/^listening //p' "$run/provider.out")
  echo "provider of ${sites[0]}: trainer at $address, log in $run/provider.log"
  provided=(--set "trainer=$address" --trainer-key "$keys/provider/trainer.pub")
  if [ -n "${PROVIDER_MASKING:-}" ]; then
    provided+=(--set "masking.strength=$PROVIDER_MASKING")
  fi
  # It would be trained without noise, which a provider does not do for such a charter.
  if grep -q 'unit: record' "$charter"; then
    provided+=(--set local_baseline=false)
  fi
  # A pretrained model of the examples is one that everybody can fetch.
  if grep -q 'huggingface:' "$charter"; then
    provided+=(--set masking.base_model=public)
  fi
fi

# Each of these would take all cores by itself.
join() {
  local site=$1
  shift
  "$bin/encryptor" join "${files%.yaml}-$site.yaml" --charter "$charter" --keys "$keys/$site" --group-key "$keys/group.key" \
    --out "$run/$site" --threads 1 "$@"
}
for site in "${sites[@]:1}"; do
  join "$site" >"$run/$site.out" 2>"$run/$site.log" &
  started+=($!)
done
# The first one is shown.
join "${sites[0]}" "${provided[@]}"
if [ -n "${PROVIDER:-}" ]; then
  kill "$provider"
fi
code=0
for process in "${started[@]}"; do wait "$process" || code=$?; done
started=()
if [ "$code" -ne 0 ]; then
  echo "a party ended with exit code $code: see $run/*.log" >&2
  exit "$code"
fi
echo "every site has the model: $run/NAME/model"
