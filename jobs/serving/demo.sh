#!/usr/bin/env bash
# Encrypted inference as a service, shown on this machine: the single-cell model of `make run` is deployed on a trainer of its own, two clients
# ask it at once, the owner rotates the key while they ask, and a small random Llama continues prompts. Everything is in .cache/serving and
# made anew; all processes end with this one.
# Usage: demo.sh RUN
set -euo pipefail
[ $# -eq 1 ] || { sed -n 's/^# Usage: /usage: /p' "$0" >&2; exit 2; }
run=$1
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
bin=${BIN:-$root/.build/release}
python=${PYTHON:-$root/.venv/bin/python}
state=.cache/serving
cells=.cache/10x_pbmc68k_reduced.h5ad
. jobs/trainer.sh

say() { printf '\n== %s\n' "$*"; }
# Shows a command as a person would type it, and runs it.
show() {
  printf '$ %s\n' "$*"
  "$bin/$1" "${@:2}"
}

if [ ! -e "$run/model/model.safetensors" ]; then
  say "There is no finished run yet: the owner trains one, masked"
  BIN=$bin jobs/run-local.sh jobs/pbmc.yaml "$run"
fi
rm -rf "$state"
mkdir -p "$state"
start_trainer "$state" "$bin/trainer"
asking=()
finish() {
  for process in "${asking[@]}"; do kill "$process" 2>/dev/null || true; done
  kill "$trainer" 2>/dev/null || true
  wait
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
question() { # NAME OUT: sets `query`, the command of a client, with its directory and its own key alone
  query=("$bin/encryptor" query "$state/$1/pbmc" --keys "$state/$1/keys" --data "$cells" --out "$state/$1/$2.h5" --threads 1)
}

say "A provider's trainer is up at $endpoint. Two clients make keys of their own, and give the owner the public halves"
for client in ward clinic; do
  mkdir "$state/$client"
  show encryptor keygen "$state/$client/keys"
done

say "The owner masks the model of $run and deploys it for both. It may leave after that"
show encryptor deploy "$run" --keys "$state/owner" --trainer "$endpoint" --trainer-key "$state/trainer/trainer.pub" \
  --client "ward=$state/ward/keys/owner.pub" --client "clinic=$state/clinic/keys/owner.pub" --out "$state/deployment" \
  2>"$state/deploy.log" || { cat "$state/deploy.log" >&2; exit 1; }
echo
echo "What a client gets (masking.key is its secret; no weight of the model is among it):"
for client in ward clinic; do cp -r "$state/deployment/clients/$client" "$state/$client/pbmc"; done
(cd "$state" && find ward/pbmc -type f ! -name '*.lease' -printf '  %-28p %s bytes\n' | sort)

say "Both ask about 700 cells, at the same time"
for client in ward clinic; do
  question "$client" answers
  echo "\$ encryptor ${query[*]:1}"
done
for client in ward clinic; do
  question "$client" answers
  "${query[@]}" >"$state/$client/query.out" 2>"$state/$client/query.log" &
  asking+=($!)
done
for process in "${asking[@]}"; do wait "$process" || { tail -n 2 "$state"/*/query.log >&2; exit 1; }; done
asking=()
for client in ward clinic; do sed "s/^/$client: /" "$state/$client/query.out"; done

say "Are the answers right? Beside the labels, and beside \`predict\`, the owner's own masked inference"
"$bin/encryptor" predict "$run" --data "$cells" --out "$state/predicted.h5" --keys "$state/owner" --trainer "$endpoint" \
  --trainer-key "$state/trainer/trainer.pub" >"$state/predict.log" 2>&1 || { cat "$state/predict.log" >&2; exit 1; }
"$python" jobs/serving/compare.py "$run" "$cells" "$state/predicted.h5" "ward=$state/ward/answers.h5" "clinic=$state/clinic/answers.h5"

say "The owner puts a new masking key in force while both go on asking"
keep_asking() { # NAME: until the owner is done
  local count=0 child
  trap 'kill "$child"; exit 143' TERM
  while [ ! -e "$state/rotated" ] || [ $count -lt 3 ]; do
    count=$((count + 1))
    question "$1" "again-$count"
    "${query[@]}" >>"$state/$1/again.log" 2>&1 &
    child=$!
    wait "$child" || return 1
    echo "$count" >"$state/$1/count"
  done
}
for client in ward clinic; do
  keep_asking "$client" &
  asking+=($!)
done
while [ ! -e "$state/ward/count" ] || [ ! -e "$state/clinic/count" ]; do
  for process in "${asking[@]}"; do kill -0 "$process" 2>/dev/null || { tail -n 2 "$state"/*/again.log >&2; exit 1; }; done
  sleep 0.05
done
show encryptor rotate "$state/deployment" 2>"$state/rotate.log" || { cat "$state/rotate.log" >&2; exit 1; }
touch "$state/rotated"
for process in "${asking[@]}"; do wait "$process" || { tail -n 2 "$state"/*/again.log >&2; exit 1; }; done
asking=()
for client in ward clinic; do
  echo "$client: asked $(cat "$state/$client/count") times meanwhile, nothing failed; $(grep -m 1 -o 'going on under key .*' "$state/$client/again.log")"
done
"$python" jobs/serving/compare.py "$run" "$cells" "$state/predicted.h5" \
  "ward=$state/ward/again-$(cat "$state/ward/count").h5" "clinic=$state/clinic/again-$(cat "$state/clinic/count").h5"

say "What the provider knows: who asked how much, and how fast it answered"
# It writes these figures down every few seconds.
for _ in $(seq 80); do
  "$bin/trainer" status --store "$state/store" >"$state/status.log"
  ! grep -q 'latency' "$state/status.log" || break
  sleep 0.1
done
echo "\$ trainer status --store $state/store"
grep '^deployment' "$state/status.log"

say "Text, too: a language model of the owner's, here a small Llama of random weights that has learnt nothing"
"$python" jobs/prepare/random-llama.py "$state/llama" >"$state/llama.log"
printf 'Masked numbers go out.\n\nNobody at the host reads them.\n' >"$state/prompts.txt"
"$python" jobs/prepare/byte-tokens.py "$state/prompts.txt" "$state/prompts.h5" --length 40 >>"$state/llama.log"
show encryptor deploy "$state/llama" --task causal-lm --keys "$state/owner" --trainer "$endpoint" --trainer-key "$state/trainer/trainer.pub" \
  --client "ward=$state/ward/keys/owner.pub" --client "clinic=$state/clinic/keys/owner.pub" --out "$state/writer" \
  >"$state/writer.out" 2>"$state/writer.log" || { cat "$state/writer.log" >&2; exit 1; }
sed -n '1p;$p' "$state/writer.out"
for client in ward clinic; do
  cp -r "$state/writer/clients/$client" "$state/$client/writer"
  show encryptor generate "$state/$client/writer" --keys "$state/$client/keys" --prompts "$state/prompts.h5" --out "$state/$client/texts.h5" \
    --max-tokens 24 --temperature 0 >"$state/$client/generate.out" 2>"$state/$client/generate.log" ||
    { cat "$state/$client/generate.log" >&2; exit 1; }
  head -n 2 "$state/$client/generate.out"
done
"$python" jobs/serving/texts.py "$state/prompts.txt" "ward=$state/ward/texts.h5" "clinic=$state/clinic/texts.h5"

say "The owner takes both down; a client that asks now is refused"
show encryptor undeploy "$state/writer"
show encryptor undeploy "$state/deployment"
question ward late
if "${query[@]}" >"$state/late.log" 2>&1; then
  echo "a deployment that is taken down has answered" >&2
  exit 7
fi
tail -n 1 "$state/late.log"

say "Done. Everything shown is in $state; docs/serving.md says who sees what"
