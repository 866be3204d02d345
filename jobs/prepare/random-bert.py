#!/usr/bin/env python3
"""Writes a BERT encoder with RANDOM weights as a Hugging Face directory: config.json and model.safetensors, with a pooler.

It has learnt nothing and is worth nothing; by default it has the shape and the vocabulary of BERT-base (and so of BioBERT), so that speed and
memory can be measured without a download. --config takes the sizes from another checkpoint's config.json instead.

Example: random-bert.py .cache/random-bert --blocks 2 --width 128 --heads 2 --hidden 512
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

# Names of config.json by those of the options.
SIZES = {
    "width": "hidden_size", "blocks": "num_hidden_layers", "heads": "num_attention_heads", "hidden": "intermediate_size",
    "vocabulary": "vocab_size", "positions": "max_position_embeddings",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=__doc__.splitlines()[-1])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--config", type=Path, help="a config.json of a BERT, whose sizes and activation are taken")
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--hidden", type=int, default=3072, help="width between the linear layers of a block")
    parser.add_argument("--vocabulary", type=int, default=30522)
    parser.add_argument("--positions", type=int, default=512)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    configuration = configured(options)
    sizes = [configuration[name] for name in SIZES.values()]
    if min(sizes) < 1 or configuration["hidden_size"] % configuration["num_attention_heads"]:
        parser.error("sizes must be positive, and the width a multiple of the heads")
    tensors = weights(configuration, options.seed)
    options.directory.mkdir(parents=True, exist_ok=True)
    (options.directory / "config.json").write_text(json.dumps(configuration, indent=2) + "\n")
    save_file(tensors, options.directory / "model.safetensors", metadata={"format": "pt"})
    count = sum(tensor.size for tensor in tensors.values())
    print(f"{options.directory}: a BERT of {count:,} random weights (seed {options.seed}); it has learnt nothing")


def configured(options):
    given = json.loads(options.config.read_text()) if options.config else {}
    if given.get("model_type", "bert") != "bert":
        raise SystemExit(f"{options.config} is of a {given['model_type']}, not of a BERT")
    return {
        "architectures": ["BertModel"], "model_type": "bert", "attention_probs_dropout_prob": 0.1, "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1, "initializer_range": 0.02, "layer_norm_eps": 1e-12, "pad_token_id": 0,
        "position_embedding_type": "absolute", "type_vocab_size": 2, "torch_dtype": "float32",
    } | {name: getattr(options, option) for option, name in SIZES.items()} | {
        name: given[name] for name in (*SIZES.values(), "hidden_act", "layer_norm_eps", "type_vocab_size", "pad_token_id") if name in given}


def weights(configuration, seed):
    """Linear layers of deviation 1/sqrt(inputs), so that attention has something to do; gains between 0.5 and 1.5."""
    random = np.random.default_rng(seed)
    width, hidden = configuration["hidden_size"], configuration["intermediate_size"]
    tensors = {}

    def linear(name, outputs, inputs):
        tensors[f"{name}.weight"] = random.standard_normal((outputs, inputs), dtype=np.float32) / np.float32(np.sqrt(inputs))
        tensors[f"{name}.bias"] = 0.1 * random.standard_normal(outputs, dtype=np.float32)

    def norm(name):
        tensors[f"{name}.weight"] = random.uniform(0.5, 1.5, width).astype(np.float32)
        tensors[f"{name}.bias"] = 0.1 * random.standard_normal(width, dtype=np.float32)

    for name, rows in (
        ("word", configuration["vocab_size"]), ("position", configuration["max_position_embeddings"]),
        ("token_type", configuration["type_vocab_size"])):
        tensors[f"embeddings.{name}_embeddings.weight"] = random.standard_normal((rows, width), dtype=np.float32)
    norm("embeddings.LayerNorm")
    for block in range(configuration["num_hidden_layers"]):
        layer = f"encoder.layer.{block}"
        for part in ("query", "key", "value"):
            linear(f"{layer}.attention.self.{part}", width, width)
        linear(f"{layer}.attention.output.dense", width, width)
        norm(f"{layer}.attention.output.LayerNorm")
        linear(f"{layer}.intermediate.dense", hidden, width)
        linear(f"{layer}.output.dense", width, hidden)
        norm(f"{layer}.output.LayerNorm")
    linear("pooler.dense", width, width)
    return tensors


if __name__ == "__main__":
    sys.exit(main())
