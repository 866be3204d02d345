#!/usr/bin/env python3
"""Writes what the transformer rows of the replay matrix train on: two small random BERTs and a file of made-up tokens.

bert/        GELU by the error function, parameters named as the bare encoder's (`encoder.layer…`), with a pooler
bert-tanh/   GELU by tanh, named as a whole model's (`bert.encoder.layer…`), without a pooler
tokens.h5    input_ids, attention_mask, token_type_ids [rows, 24]; section: classes; assays: 0/1 with NaN; doses: numbers with NaN;
             tags: a class for every token, -100 where there is none
"""

import json
import sys
from pathlib import Path

import h5py
import numpy as np
from safetensors.numpy import save_file

ROWS, LENGTH, VOCABULARY = 310, 24, 180
WIDTH, HEADS, HIDDEN, BLOCKS, POSITIONS = 48, 4, 96, 2, 40


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(30)
    bert(folder / "bert", random, "gelu", "", has_pooler=True)
    bert(folder / "bert-tanh", random, "gelu_new", "bert.", has_pooler=False)
    tokens(folder / "tokens.h5", random)


def bert(folder, random, activation, prefix, has_pooler):
    """Linear layers of deviation 1/sqrt(inputs), so that attention and heads have something to do."""
    tensors = {}

    def linear(name, outputs, inputs):
        tensors[f"{prefix}{name}.weight"] = (random.standard_normal((outputs, inputs)) / np.sqrt(inputs)).astype(np.float32)
        tensors[f"{prefix}{name}.bias"] = (0.1 * random.standard_normal(outputs)).astype(np.float32)

    def norm(name):
        tensors[f"{prefix}{name}.weight"] = random.uniform(0.5, 1.5, WIDTH).astype(np.float32)
        tensors[f"{prefix}{name}.bias"] = (0.1 * random.standard_normal(WIDTH)).astype(np.float32)

    for name, rows in (("word", VOCABULARY), ("position", POSITIONS), ("token_type", 2)):
        tensors[f"{prefix}embeddings.{name}_embeddings.weight"] = random.standard_normal((rows, WIDTH)).astype(np.float32)
    norm("embeddings.LayerNorm")
    for block in range(BLOCKS):
        layer = f"encoder.layer.{block}"
        for part in ("query", "key", "value"):
            linear(f"{layer}.attention.self.{part}", WIDTH, WIDTH)
        linear(f"{layer}.attention.output.dense", WIDTH, WIDTH)
        norm(f"{layer}.attention.output.LayerNorm")
        linear(f"{layer}.intermediate.dense", HIDDEN, WIDTH)
        linear(f"{layer}.output.dense", WIDTH, HIDDEN)
        norm(f"{layer}.output.LayerNorm")
    if has_pooler:
        linear("pooler.dense", WIDTH, WIDTH)
    folder.mkdir(exist_ok=True)
    configuration = {
        "architectures": ["BertModel"], "model_type": "bert", "attention_probs_dropout_prob": 0.1, "hidden_act": activation,
        "hidden_dropout_prob": 0.1, "hidden_size": WIDTH, "initializer_range": 0.02, "intermediate_size": HIDDEN,
        "layer_norm_eps": 1e-12, "max_position_embeddings": POSITIONS, "num_attention_heads": HEADS, "num_hidden_layers": BLOCKS,
        "pad_token_id": 0, "position_embedding_type": "absolute", "type_vocab_size": 2, "vocab_size": VOCABULARY,
    }
    (folder / "config.json").write_text(json.dumps(configuration, indent=2) + "\n")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def tokens(path, random):
    lengths = random.integers(3, LENGTH + 1, ROWS)
    lengths[:2] = 1, LENGTH
    places = np.arange(LENGTH)
    mask = (places < lengths[:, None]).astype(np.int32)
    ids = random.integers(1, VOCABULARY, (ROWS, LENGTH)).astype(np.int32) * mask
    types = (places >= lengths[:, None] // 2).astype(np.int32) * mask
    # What is to be learnt hangs on which tokens a sample has.
    tendency = random.standard_normal((VOCABULARY, 12))
    sums = (tendency[ids] * mask[:, :, None]).sum(1) / np.sqrt(lengths)[:, None]
    assays = (sums[:, 4:9] > 0).astype(np.float32)
    doses = sums[:, 9:12].astype(np.float32)
    for labels in (assays, doses):
        labels[random.random(labels.shape) < 0.2] = np.nan
    tags = tendency[ids][:, :, :5].argmax(2).astype(np.int64)
    tags[random.random(tags.shape) < 0.2] = -100
    with h5py.File(path, "w") as file:
        for name, values in (("input_ids", ids), ("attention_mask", mask), ("token_type_ids", types)):
            file.create_dataset(name, data=values, chunks=(64, LENGTH), compression="gzip")
        file["section"] = sums[:, :4].argmax(1)
        file["assays"], file["doses"], file["tags"] = assays, doses, tags


if __name__ == "__main__":
    main()
