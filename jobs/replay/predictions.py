#!/usr/bin/env python3
"""Loads the model of a finished run with PyTorch, `transformers` or `peft` and compares its outputs with those of masked questions.

Reads what `encryptor predict RUN --data FILE --out RUN.predictions.h5` wrote for the job's own data file, or for --data; with --kind answers
what `encryptor query` wrote to RUN.answers.h5. Every name and shape of a transformer must fit the class that the libraries take for the task,
with none missing and none left over. The difference is max|a-b| / max|b| over `outputs` (a: masked, b: the library). Exit 0 when every run's
is at most the tolerance and every sample, or token, has the same class; 7 when not, or when a run cannot be compared (masking.noise).

Example: predictions.py runs/pubmed-minilm
"""

import argparse
import sys
import warnings
from pathlib import Path

import h5py
import numpy as np
import peft
import safetensors.torch
import torch
import transformers
import yaml

import finished
import objectives
import transformer
from perceptron import Perceptron


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=__doc__.splitlines()[-1])
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--kind", default="predictions", help="the file beside each run is RUN.KIND.h5")
    parser.add_argument("--data", help="the file that was predicted, when it is not the job's")
    parser.add_argument("--rows", type=int, help="only so many rows, the first")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    options = parser.parse_args()
    # Fresh heads of a base model and renamings to come are no news here.
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    warnings.simplefilter("ignore", FutureWarning)
    return max(0 if check(run, options) else 7 for run in options.runs)


def check(run, options):
    """Prints one line; whether the outputs agree."""
    job = yaml.safe_load((run / "job.resolved.yaml").read_text())
    if options.data:
        job["data"]["file"] = options.data
    try:
        finished.refuse_noise(job)
        path = run.with_name(f"{run.name}.{options.kind}.h5")
        compare = perceptron if "mlp" in job["model"] else sequences
        found, expected, kind = compare(run, job, path, options.rows)
        if found.shape != expected.shape:
            raise finished.Unlike(f"outputs {found.shape}, the model gives {expected.shape}")
    except (finished.Unlike, finished.Noised, OSError, KeyError) as error:
        print(f"{run.name:<44} {'':<12} FAIL  {error}", flush=True)
        return False
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    passed = difference <= options.tolerance
    remark = f"{kind}, {len(expected)} outputs"
    same = same_classes(job["task"], found, expected)
    if same is not None:
        passed = passed and same == 1
        remark += f", {same:.2%} of the classes the same"
    print(f"{run.name:<44} {difference:<12.2e} {'pass' if passed else 'FAIL'}  {remark}", flush=True)
    return passed


def same_classes(task, found, expected):
    """The share of samples, tokens or labels whose class is the same; None for a task without."""
    if task in objectives.CLASSES:
        return (found.argmax(1) == expected.argmax(1)).mean()
    return ((found > 0) == (expected > 0)).mean() if task == "multilabel" else None


def perceptron(run, job, path, limit):
    """Masked outputs, the library's, and what made these: plain matrices, on rows standardised by the training rows."""
    with h5py.File(run / "plan.h5") as plan:
        model = Perceptron(run, job, plan["split/train"][()], torch.float32)
    model.take(finished.weights(run / "model"))
    with h5py.File(path) as file:
        found = file["outputs"][:limit]
    with torch.no_grad():
        parts = [model.outputs(part) for part in model.parts(torch.arange(min(limit or len(model.rows), len(model.rows))))]
    return found, torch.cat(parts).numpy(), "perceptron"


def sequences(run, job, path, limit):
    """The same of a transformer, by the class of the library for the task."""
    model, kind = load(job, run / "model")
    tokens = transformer.tokens_of(job, torch.float32, model.config)
    rows = torch.arange(min(limit or len(tokens.ids), len(tokens.ids)))
    return predicted(path, job["task"], tokens, rows), outputs(model, job, tokens, rows), kind


def load(job, folder):
    """The model, by the class for its task, and what loaded it."""
    loader = transformer.class_for(job["task"])
    is_adapter = (folder / "adapter_config.json").exists()
    path, settings, allowed = folder, {}, ()
    if is_adapter:
        # The base has no classifier; how many classes, the adapter's weights say.
        path, allowed = job["model"]["huggingface"], transformer.HEADS
        if job["task"] != "causal-lm":
            settings["num_labels"] = classes(folder)
    model, report = loader.from_pretrained(
        path, dtype=torch.float32, attn_implementation="eager", output_loading_info=True, **settings)
    missing = {name for name in report["missing_keys"] if not name.startswith(allowed)}
    kind = type(model).__name__
    pooler = {name for name in missing if name.startswith("bert.pooler.")}
    if pooler:
        # The class always makes one; a model without one, or with another pooling, has none in its files.
        model.bert.pooler = None
        kind += " without its pooler"
    unexpected = set() if is_adapter else report["unexpected_keys"]
    if missing - pooler or unexpected or report["mismatched_keys"]:
        raise finished.Unlike(f"{kind}: lacks {missing - pooler}, has beside {unexpected}, misshapen {report['mismatched_keys']}")
    return (adapted(model, folder), f"peft on {kind}") if is_adapter else (model.eval(), kind)


def adapted(model, folder):
    model = peft.PeftModel.from_pretrained(model, folder)
    stored = safetensors.torch.load_file(folder / "adapter_model.safetensors")
    held = peft.get_peft_model_state_dict(model)
    if sorted(stored) != sorted(held) or any(not torch.equal(stored[name], held[name]) for name in stored):
        raise finished.Unlike(f"peft did not take the adapter as it is; it holds {sorted(held)}")
    # The adapters stay inside the layers of the model they were put into.
    return model.base_model.model.eval()


def classes(folder):
    for name, tensor in safetensors.torch.load_file(folder / "adapter_model.safetensors").items():
        if name.endswith(("out_proj.weight", ".classifier.weight", "score.weight")):
            return len(tensor)
    raise finished.Unlike("the adapter's directory has no classifier")


@torch.no_grad()
def outputs(model, job, tokens, rows):
    """[samples, outputs], or one row for every real token of a per-token task."""
    head = job["model"].get("head") or {}
    pooling = None
    if job["task"] not in objectives.PER_TOKEN:
        pooling = head.get("pool", transformer.default_pooling(model.config))
    parts = []
    for part in rows.split(transformer.PART):
        inputs = tokens.batch(part)
        found = transformer.outputs(model, pooling, inputs)
        parts.append(found if pooling else found[inputs["attention_mask"].bool()])
    return torch.cat(parts).numpy()


def predicted(path, task, tokens, rows):
    """`outputs` of the predictions; of a per-token task those of the real tokens, which a row of the file has for all its columns."""
    with h5py.File(path) as file:
        found = file["outputs"][: len(rows)]
    if task not in objectives.PER_TOKEN:
        return found
    columns = tokens.ids.shape[1]
    if found.shape[1] % columns:
        raise finished.Unlike(f"rows of {found.shape[1]} outputs, not a multiple of the {columns} columns of the file")
    places = tokens.columns[rows, : int(tokens.lengths[rows].max())].numpy()
    cube = np.take_along_axis(found.reshape(len(found), columns, -1), places[:, :, None], 1)
    return cube[tokens.mask[rows, : places.shape[1]].numpy()]


if __name__ == "__main__":
    sys.exit(main())
