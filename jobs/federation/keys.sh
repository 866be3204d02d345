#!/usr/bin/env bash
# Makes the keys of all parties of a federation on this machine, those that are not there yet: DIR/SITE/owner.key and owner.pub of each site,
# DIR/aggregator/aggregator.key and aggregator.pub. In earnest each party makes its own and gives away the .pub alone.
# Usage: keys.sh DIR SITE…      or keys.sh DIR --of CHARTER.yaml      (sites written as `- {name: NAME, key: …}`)
# Example: jobs/federation/keys.sh .cache/federation/keys --of jobs/federation/pbmc.yaml
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }
root=$(cd "$(dirname "$0")/../.." && pwd)
bin=${BIN:-$root/.build/release}
directory=$1
shift
if [ "$1" = --of ]; then
  mapfile -t sites < <(sed -n 's/^ *- {name: *\([A-Za-z0-9._-]*\),.*/\1/p' "${2:?a charter}")
else
  sites=("$@")
fi
[ "${#sites[@]}" -gt 0 ] || { echo "no site found in $2" >&2; exit 2; }

mkdir -p "$directory"
chmod 700 "$directory"
for site in "${sites[@]}"; do
  [ -e "$directory/$site/owner.key" ] || "$bin/encryptor" keygen "$directory/$site" >/dev/null
done
if [ ! -e "$directory/aggregator/aggregator.key" ]; then
  if [ -x "$bin/aggregator" ]; then
    "$bin/aggregator" keygen "$directory/aggregator" >/dev/null
  else
    # Keys of all servers are alike but for their names.
    "$bin/trainer" keygen "$directory/aggregator" >/dev/null
    for half in pub key; do mv "$directory/aggregator/trainer.$half" "$directory/aggregator/aggregator.$half"; done
  fi
fi
echo "$directory: keys of the aggregator and of ${#sites[@]} sites"
