#!/usr/bin/env bash
# Owner and trainer as two hosts (network name spaces) with a bad link between them. As root; needs iproute2 and python3.
#   link.sh cut        20 ms and 1 % loss all along, the link cut 5 times for 30 s: the weights' bits against those of a run on loopback
#   link.sh latency    steps per second over 20 ms against loopback, in turns
#   link.sh upload     a site's update of 1 GB to an aggregator over 20 ms, the link cut 3 times on the way: bytes sent / bytes of the update.
#                      ENTRIES=134217728 of 8 bytes. The other site is beside the aggregator; neither trains.
# BIN: where the programs are. JOB and SETTINGS ("--set …"): what is trained. CUTS=5 SECONDS_CUT=30 DELAY=20 LOSS=1 ROUNDS=2.
# The delay holds for each direction. It is `tc netem` where the kernel has it, and link.py's where not.
set -euo pipefail
mode=${1:-cut}
root=$(cd "$(dirname "$0")/../.." && pwd)
bin=$(cd "${BIN:-$root/.build/release}" && pwd)
[ "$(id -u)" = 0 ] || { echo "name spaces need root" >&2; exit 1; }
[ "$mode" = upload ] && : "${CUTS:=3}"
cuts=${CUTS:-5} seconds=${SECONDS_CUT:-30} delay=${DELAY:-20} loss=${LOSS:-1}
[ "$mode" = cut ] || loss=0
near=owner$$ far=trainer$$
address=10.77.0.2:5570

scratch=$(mktemp -d)
children=()
finish() {
  local code=$?
  trap - EXIT
  for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; done
  ip netns del "$near" 2>/dev/null || true
  ip netns del "$far" 2>/dev/null || true
  if [ $code = 0 ]; then rm -rf "$scratch"; else echo "failed; what is left is in $scratch" >&2; fi
  exit $code
}
trap finish EXIT
trap 'exit 130' INT TERM

ip netns add "$near"
ip netns add "$far"
by=netem
if ip link add "v$$" type veth peer name "w$$" && ! tc qdisc add dev "v$$" root netem delay "${delay}ms" loss "$loss%" 2>/dev/null; then
  by=link.py
  ip link del "v$$"
  python3 "$root/jobs/checks/link.py" "v$$" "w$$" "$delay" "$loss" >"$scratch/link" &
  relay=$!
  children+=("$relay")
  until grep -q ready "$scratch/link"; do kill -0 "$relay"; sleep 0.1; done
else
  tc qdisc add dev "w$$" root netem delay "${delay}ms" loss "$loss%"
fi
ip link set "v$$" netns "$near"
ip link set "w$$" netns "$far"
ip -n "$near" address add 10.77.0.1/24 dev "v$$"
ip -n "$far" address add 10.77.0.2/24 dev "w$$"
for name in "$near" "$far"; do ip -n "$name" link set lo up; done
ip -n "$near" link set "v$$" up mtu 1500
ip -n "$far" link set "w$$" up mtu 1500
echo "link by $by: $delay ms each way, $loss % loss"; ip netns exec "$near" ping -c 5 -q 10.77.0.2 2>/dev/null | tail -1 || true

cut_link() {
  if [ "$by" = netem ]; then ip -n "$near" link set "v$$" down; else kill -USR1 "$relay"; fi
  sleep "$seconds"
  if [ "$by" = netem ]; then ip -n "$near" link set "v$$" up; else kill -USR2 "$relay"; fi
}

if [ "$mode" = upload ]; then
  entries=${ENTRIES:-134217728}
  place=$scratch/federation
  python3 "$root/jobs/bench/many_sites.py" --bin "$bin" --sites 2 --entries "$entries" --address "tcp://10.77.0.2:5599" --prepare "$place"
  ip netns exec "$far" "$bin/aggregator" serve --keys "$place/keys/aggregator" --charter "$place/charter.yaml" --store "$place/store" \
    --bind tcp://10.77.0.2:5599 >"$place/endpoint" 2>"$place/aggregator.log" &
  server=$!
  children+=("$server")
  until grep -q '^listening ' "$place/endpoint"; do kill -0 "$server"; sleep 0.1; done
  sites() { # name space, place in the charter
    ip netns exec "$1" "$bin/benchmarks" sites "$place/charter.yaml" --keys "$place/keys" --entries "$entries" --only "$2" --out "$place/runs" \
      >"$place/site-$2.json"
  }
  # The one beside the aggregator comes first: its starting model is taken.
  sites "$far" 0 &
  children+=($!)
  until grep -q 'site is here' "$place/aggregator.log"; do kill -0 "$server"; sleep 0.1; done
  sites "$near" 1 &
  site=$!
  children+=("$site")
  for number in $(seq "$cuts"); do
    until [ "$(stat -c %s "$place"/store/jobs/*/upload-*-1.i64 2>/dev/null | head -1 || echo 0)" -ge $((8 * entries * number / (cuts + 1))) ] 2>/dev/null; do
      kill -0 "$site"
      sleep 0.2
    done
    echo "cut $number for $seconds s with $(($(stat -c %s "$place"/store/jobs/*/upload-*-1.i64 | head -1) / 1000000)) MB there"
    cut_link
  done
  wait "$site"
  python3 - "$place/site-1.json" "$((8 * entries))" <<'PYTHON'
import json, sys
sent, update = json.load(open(sys.argv[1]))["bytesSent"], int(sys.argv[2])
print(f"{update / 1e6:.0f} MB of update, {sent / 1e6:.0f} MB sent: {sent / update:.3f} (bar 1.05)")
sys.exit(0 if sent <= 1.05 * update else 7)
PYTHON
  exit
fi

cd "$scratch"
"$bin/encryptor" keygen owner >/dev/null
"$bin/trainer" keygen trainer >/dev/null
cp owner/owner.pub owners.txt
job=${JOB:-$root/jobs/pbmc.yaml}
read -ra settings <<<"${SETTINGS:-}"

serve() { # name space, store, address
  ip netns exec "$1" "$bin/trainer" serve --keys trainer --authorized owners.txt --store "$2" --bind "tcp://$3" \
    --threads "${THREADS:-1}" >"$2.endpoint" 2>"$2.log" &
  server=$!
  children+=("$server")
  until grep -q '^listening ' "$2.endpoint"; do kill -0 "$server"; sleep 0.1; done
}
run() { # name space, run directory, address, options …
  ip netns exec "$1" "$bin/encryptor" run "$job" --keys owner --trainer-key trainer/trainer.pub --out "$2" --threads "${THREADS:-1}" \
    --set trainer="tcp://$3" "${settings[@]}" "${@:4}"
}
stop() {
  kill "$server"
  wait "$server" || true
}

if [ "$mode" = cut ]; then
  # Both runs go out from one that is laid out and has met no trainer, because each run draws keys of its own.
  run "$near" cut "$address" --patience 1 >/dev/null 2>prepare.log && { echo "nobody was to be there" >&2; exit 70; } || true
  cp -r cut whole
  serve "$far" store-cut "$address"
  run "$near" cut "$address" --resume --patience 300 >run-cut.txt 2>owner-cut.log &
  owner=$!
  children+=("$owner")
  for number in $(seq "$cuts"); do
    until [ "$(wc -l <cut/history.jsonl 2>/dev/null || echo 0)" -ge $((number * ${EVERY:-20})) ]; do kill -0 "$owner"; sleep 0.05; done
    cut_link
    echo "cut $number for $seconds s at step $(wc -l <cut/history.jsonl)"
  done
  wait "$owner"
  stop
  serve "$far" store-whole 127.0.0.1:5571
  run "$far" whole 127.0.0.1:5571 --resume >run-whole.txt 2>owner-whole.log
  cmp cut/model/model.safetensors whole/model/model.safetensors
  echo "cut $cuts times for $seconds s, $delay ms each way, $loss % loss: weights bit-identical to an uninterrupted run's"
else
  speed() { # run directory: steps a second, from the median time of a step
    python3 - "$1/history.jsonl" <<'PYTHON'
import json, statistics, sys
seconds = [record["seconds"] for record in map(json.loads, open(sys.argv[1])) if "learning_rate" in record and "seconds" in record]
print(1 / statistics.median(seconds[2:]))
PYTHON
  }
  for round in $(seq "${ROUNDS:-2}"); do
    serve "$far" "store-loopback-$round" 127.0.0.1:5571
    run "$far" "loopback-$round" 127.0.0.1:5571 >/dev/null 2>loopback.log
    stop
    serve "$far" "store-far-$round" "$address"
    run "$near" "far-$round" "$address" >/dev/null 2>far.log
    stop
    a=$(speed "loopback-$round") b=$(speed "far-$round")
    python3 -c "print(f'round $round: steps/s {$a:.3f} on loopback, {$b:.3f} over the link: {$b / $a:.3f}')"
  done
fi
