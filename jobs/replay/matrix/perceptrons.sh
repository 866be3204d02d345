# The MLP rows of the matrix; read by matrix.sh, which has set $root, $state, $bin, $python, `train` and `judge`.
"$python" "$root/jobs/replay/synthetic.py" "$state"
for task in classification multilabel regression; do
  for side in owner trainer; do
    for optimizer in sgd muon adamw; do
      case $optimizer in
        sgd) settings=(--set optimizer.momentum=0.9 --set optimizer.nesterov=true) strength=rotation ;;
        muon) settings=(--set optimizer.lr=0.02) strength=rotation ;;
        adamw) settings=(--set optimizer.lr=0.003) strength=permutation ;;
      esac
      train "$task-$optimizer-$strength-$side" "$root/jobs/replay/matrix/$task.yaml" --set optimizer.name=$optimizer \
        --set masking.strength=$strength --set loss.where=$side --set train.keep=best "${settings[@]}"
    done
  done
done
for optimizer in sgd muon; do
  train survival-$optimizer-rotation-owner "$root/jobs/replay/matrix/survival.yaml" --set optimizer.name=$optimizer
done
train survival-sgd-permutation-owner "$root/jobs/replay/matrix/survival.yaml" --set masking.strength=permutation --set train.accumulate=2
adapter=(--set 'masking={strength: rotation, adapter: {width: 40}}')
train adapter-sgd-rotation-owner "$root/jobs/replay/matrix/classification.yaml" --set optimizer.momentum=0.9 "${adapter[@]}"
train adapter-muon-rotation-trainer "$root/jobs/replay/matrix/regression.yaml" --set optimizer.name=muon --set optimizer.lr=0.02 \
  --set loss.where=trainer "${adapter[@]}"
train adapter-adamw-permutation-owner "$root/jobs/replay/matrix/multilabel.yaml" --set optimizer.name=adamw --set optimizer.lr=0.003 \
  --set 'masking={strength: permutation, adapter: {width: 40}}'
train older-sgd-rotation-owner "$root/jobs/replay/matrix/older.yaml" --set optimizer.lr=0.02
train older-sgd-rotation-trainer "$root/jobs/replay/matrix/older.yaml" --set loss.where=trainer --set optimizer.lr=0.02
[ ! -e "$root/.cache/10x_pbmc68k_reduced.h5ad" ] || train pbmc "$root/jobs/pbmc.yaml"
[ -z "$tox21" ] || train tox21-gelu "$root/jobs/tox21.yaml" --set data.file="$tox21" --set model.mlp.activation=gelu
judge
if [ -n "$tox21" ]; then
  # Not judged: over 800 steps at this learning rate some row comes so close to ReLU's kink that a rounding error decides its side, and
  # from there two runs part, in PyTorch too.
  train tox21 "$root/jobs/tox21.yaml" --set data.file="$tox21"
  { "$python" "$root/jobs/replay/replay.py" --rounding "$state/runs/tox21" || true; } | sed -n 's/^largest *\([^ ]*\).*/tox21 (ReLU, not judged): \1/p; /float64/p'
  runs=()
  judge # The answers alone.
fi
