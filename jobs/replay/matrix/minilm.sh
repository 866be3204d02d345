# The section task's job, 20 steps of it; read by matrix.sh as the others.
minilm=$root/.cache/minilm
if [ -n "$pubmed" ] && [ -e "$minilm/model.safetensors" ]; then
  "$python" "$root/jobs/replay/subset.py" "$pubmed" "$state/pubmed.h5" --by abstract --modulo 5 --equals 4 --training 640 >/dev/null
  twenty=(--set data.file="$state/pubmed.h5" --set train.epochs=1 --set train.keep=last)
  job=$root/jobs/pubmed-minilm.yaml
  train_and_predict minilm-sgd "$job" "${twenty[@]}"
  train_and_predict minilm-muon "$job" "${twenty[@]}" --set optimizer.name=muon --set optimizer.lr=0.001
  train_and_predict minilm-lora "$job" "${twenty[@]}" --set model.train=lora \
    --set 'model.lora={rank: 8, alpha: 16, targets: [query, value]}'
  judge --steps 20
  train_and_predict minilm-adamw "$job" "${twenty[@]}" --set 'optimizer={name: adamw, lr: 0.0001, clip_norm: 1.0}' \
    --set masking.strength=permutation
  judge --steps 20 --float64
else
  echo "the MiniLM job is left out: it needs \`make .cache/minilm/model.safetensors\` and PUBMED=FILE" >&2
fi
