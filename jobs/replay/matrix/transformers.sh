# The transformer rows of the matrix; read by matrix.sh, which has set $root, $state, $bin, $python, `train` and `judge`.
# All of them are 20 optimizer steps or more.
bert=$root/jobs/replay/matrix/bert.yaml
llama=$root/jobs/replay/matrix/llama.yaml
sgd=(--set optimizer.momentum=0.9)
muon=(--set optimizer.name=muon --set optimizer.lr=0.002)
adamw=(--set optimizer.name=adamw --set optimizer.lr=0.0005 --set masking.strength=permutation)
adapters=(--set 'model.lora={rank: 4, alpha: 8, targets: [query, value]}' --set model.train=lora)
"$python" "$root/jobs/replay/synthetic_tokens.py" "$state"
"$python" "$root/jobs/prepare/random-llama.py" "$state/llama" >/dev/null
"$python" "$root/jobs/prepare/random-llama.py" "$state/llama-tied" --tied --seed 2 >/dev/null
for family in roberta distilbert electra; do
  "$python" "$root/jobs/prepare/random-model.py" "$state/$family" $family >/dev/null
done
"$python" "$root/jobs/prepare/byte-tokens.py" "$root"/README.md "$root"/docs/{keys-and-privacy,transformers,operations,cluster}.md "$state/bytes.h5" >/dev/null

train_and_predict bert-sgd-owner "$bert" "${sgd[@]}"
train_and_predict bert-sgd-trainer "$bert" "${sgd[@]}" --set loss.where=trainer
train_and_predict bert-sgd-in-order "$bert" "${sgd[@]}" --set masking.shuffle_tokens=false
train_and_predict bert-muon "$bert" "${muon[@]}"
train_and_predict bert-accumulate "$bert" "${sgd[@]}" --set train.batch=12 --set train.micro_batch=5 --set train.accumulate=2
train_and_predict bert-recompute "$bert" "${sgd[@]}" --set train.recompute=true
train_and_predict bert-lora "$bert" "${sgd[@]}" "${adapters[@]}"
train_and_predict bert-lora-everywhere "$bert" "${sgd[@]}" --set model.train=lora \
  --set 'model.lora={rank: 3, alpha: 3, targets: [query, key, value, dense]}'
train_and_predict bert-head "$bert" "${sgd[@]}" --set model.train=head
train_and_predict bert-mean "$bert" "${sgd[@]}" --set model.head.pool=mean
train_and_predict bert-tanh "$bert" "${sgd[@]}" --set model.huggingface="$state/bert-tanh"
train_and_predict bert-regression "$bert" "${sgd[@]}" --set task=regression --set data.labels=doses
train_and_predict bert-multilabel "$bert" "${sgd[@]}" --set task=multilabel --set data.labels=assays
train_and_predict bert-tags "$bert" "${sgd[@]}" --set task=token-classification --set data.labels=tags
# Other encoders, on the same rows, and their targets; two have no token types, which --set cannot take out of a job.
untyped=$state/untyped.yaml
sed -e '/^  types:/d' -e "s|\.\./\.\./\.\./\.cache/replay|$state|" "$bert" >"$untyped"
encoders=("roberta $untyped query,value" "distilbert $untyped q_lin,v_lin" "electra $bert query,value")
for encoder in "${encoders[@]}"; do
  read -r family job targets <<<"$encoder"
  of_family=("${sgd[@]}" --set model.huggingface="$state/$family")
  train_and_predict "$family-sgd" "$job" "${of_family[@]}"
  train_and_predict "$family-lora" "$job" "${of_family[@]}" --set model.train=lora --set "model.lora={rank: 4, alpha: 8, targets: [$targets]}"
  train_and_predict "$family-mean" "$job" "${of_family[@]}" --set model.head.pool=mean
  train_and_predict "$family-tags" "$job" "${of_family[@]}" --set task=token-classification --set data.labels=tags
done
train_and_predict llama-lm-sgd "$llama" "${sgd[@]}"
train_and_predict llama-lm-muon "$llama" "${muon[@]}"
train_and_predict llama-lm-owner "$llama" "${sgd[@]}" --set loss.where=owner
train_and_predict llama-lm-tied "$llama" "${sgd[@]}" --set model.huggingface="$state/llama-tied"
train_and_predict llama-lm-lora "$llama" "${sgd[@]}" --set model.train=lora \
  --set 'model.lora={rank: 4, alpha: 8, targets: [q_proj, v_proj, o_proj, up_proj]}'
labelled=(--set data.file="$state/tokens.h5" --set loss.where=owner)
train_and_predict llama-class "$llama" "${sgd[@]}" "${labelled[@]}" --set task=classification --set data.labels=section
train_and_predict llama-class-lora "$llama" "${sgd[@]}" "${labelled[@]}" --set task=classification --set data.labels=section \
  --set model.train=lora --set 'model.lora={rank: 4, alpha: 8, targets: [q_proj, v_proj]}'
train_and_predict llama-tags "$llama" "${sgd[@]}" "${labelled[@]}" --set task=token-classification --set data.labels=tags
ask_directory bert-sgd-owner classification
ask_directory bert-mean classification --head mean
ask_directory bert-tags token-classification
ask_directory bert-lora classification
ask_directory roberta-sgd classification
ask_directory distilbert-lora classification
ask_directory electra-sgd classification
ask_directory llama-class classification
ask_directory llama-lm-tied causal-lm
ask_directory llama-lm-lora causal-lm
judge --steps 20

# AdamW is replayed in double precision: the gradient of BERT's key biases is zero (what they add to a query's scores is the same for all keys),
# so in single precision AdamW divides one rounding error by another there, and PyTorch's own replays differ.
train_and_predict bert-adamw "$bert" "${adamw[@]}"
for encoder in "${encoders[@]}"; do
  read -r family job targets <<<"$encoder"
  of_family=("${adamw[@]}" --set model.huggingface="$state/$family")
  train_and_predict "$family-adamw" "$job" "${of_family[@]}"
  train_and_predict "$family-lora-adamw" "$job" "${of_family[@]}" --set model.train=lora \
    --set "model.lora={rank: 4, alpha: 8, targets: [$targets]}"
done
train_and_predict llama-lm-adamw "$llama" "${adamw[@]}"
judge --steps 20 --float64
