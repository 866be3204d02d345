#!/usr/bin/env python3
"""Writes a small model with RANDOM weights of any family that the transformers library has, as that library writes it.

It has learnt nothing and is worth nothing: jobs and checks need no download. Every number is drawn, so that no gain is 1 and no bias 0 by custom.

Example: random-model.py .cache/random-roberta roberta
"""

import argparse
import sys
from pathlib import Path

import torch
import transformers

WIDTH, HEADS, HIDDEN, BLOCKS, POSITIONS, VOCABULARY = 48, 4, 96, 2, 44, 180
LIKE_BERT = {
    "hidden_size": WIDTH, "num_hidden_layers": BLOCKS, "num_attention_heads": HEADS, "intermediate_size": HIDDEN,
    "max_position_embeddings": POSITIONS}
SETTINGS = {
    "bert": LIKE_BERT,
    "roberta": {**LIKE_BERT, "type_vocab_size": 1, "layer_norm_eps": 1e-5},
    "distilbert": {"dim": WIDTH, "n_layers": BLOCKS, "n_heads": HEADS, "hidden_dim": HIDDEN, "max_position_embeddings": POSITIONS},
    "electra": {**LIKE_BERT, "embedding_size": WIDTH // 2},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=__doc__.splitlines()[-1])
    parser.add_argument("directory", type=Path)
    parser.add_argument("family", choices=SETTINGS)
    parser.add_argument("--vocabulary", type=int, default=VOCABULARY)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    config = transformers.AutoConfig.for_model(options.family, vocab_size=options.vocabulary, **SETTINGS[options.family])
    model = transformers.AutoModel.from_config(config)
    generator = torch.Generator().manual_seed(options.seed)
    for name, parameter in model.named_parameters():
        drawn = torch.randn(parameter.shape, generator=generator)
        if parameter.dim() == 1:
            is_gain = name.endswith("weight")
            parameter.data = 1 + 0.5 * drawn.clamp(-1, 1) if is_gain else 0.1 * drawn
        else:
            # Layers of deviation 1/sqrt(inputs), so that attention has something to do.
            parameter.data = drawn if "embed" in name else drawn / parameter.shape[-1] ** 0.5
    model.save_pretrained(options.directory)
    count = sum(parameter.numel() for parameter in model.parameters())
    print(f"{options.directory}: a {options.family} of {count:,} random weights (seed {options.seed}); it has learnt nothing")


if __name__ == "__main__":
    sys.exit(main())
