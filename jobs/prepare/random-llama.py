#!/usr/bin/env python3
"""Writes a small Llama with RANDOM weights as a Hugging Face directory: config.json and model.safetensors.

It has learnt nothing and is worth nothing; it has everything the family has (rotary positions, grouped-query attention, SwiGLU,
RMSNorm with gains other than 1, a head of its own or a tied one) in a size that trains in seconds, so that jobs, checks and measurements
need no download. Its default vocabulary is that of jobs/prepare/byte-tokens.py: 256 bytes, a start and a padding token.

Example: random-llama.py .cache/random-llama --width 64 --blocks 2
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=__doc__.splitlines()[-1])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--key-value-heads", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=176, help="width between the linear layers of a block's MLP")
    parser.add_argument("--vocabulary", type=int, default=258)
    parser.add_argument("--positions", type=int, default=512)
    parser.add_argument("--tied", action="store_true", help="the head is the word embedding")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.width % options.heads or (options.width // options.heads) % 2 or options.heads % options.key_value_heads:
        parser.error("--width must be an even multiple of --heads, and --heads a multiple of --key-value-heads")
    tensors = weights(options)
    options.directory.mkdir(parents=True, exist_ok=True)
    (options.directory / "config.json").write_text(json.dumps(configuration(options), indent=2) + "\n")
    save_file(tensors, options.directory / "model.safetensors", metadata={"format": "pt"})
    count = sum(tensor.size for tensor in tensors.values())
    print(f"{options.directory}: a Llama of {count:,} random weights (seed {options.seed}); it has learnt nothing")


def configuration(options):
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_bias": False, "attention_dropout": 0.0,
        "bos_token_id": 256, "eos_token_id": 256, "pad_token_id": 257 if options.vocabulary > 257 else 0,
        "head_dim": options.width // options.heads, "hidden_act": "silu", "hidden_size": options.width, "initializer_range": 0.02,
        "intermediate_size": options.hidden, "max_position_embeddings": options.positions, "mlp_bias": False,
        "num_attention_heads": options.heads, "num_hidden_layers": options.blocks, "num_key_value_heads": options.key_value_heads,
        "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "rope_scaling": None, "tie_word_embeddings": options.tied, "torch_dtype": "float32",
        "vocab_size": options.vocabulary,
    }


def weights(options):
    """Linear layers of deviation 1/sqrt(inputs), so that attention and gates have something to do; gains between 0.5 and 1.5."""
    random = np.random.default_rng(options.seed)
    narrow = options.width // options.heads * options.key_value_heads

    def linear(outputs, inputs):
        return (random.standard_normal((outputs, inputs)) / np.sqrt(inputs)).astype(np.float32)

    def gain():
        return random.uniform(0.5, 1.5, options.width).astype(np.float32)

    tensors = {"model.embed_tokens.weight": random.standard_normal((options.vocabulary, options.width)).astype(np.float32)}
    for block in range(options.blocks):
        prefix = f"model.layers.{block}."
        tensors |= {
            prefix + "input_layernorm.weight": gain(),
            prefix + "self_attn.q_proj.weight": linear(options.width, options.width),
            prefix + "self_attn.k_proj.weight": linear(narrow, options.width),
            prefix + "self_attn.v_proj.weight": linear(narrow, options.width),
            prefix + "self_attn.o_proj.weight": linear(options.width, options.width),
            prefix + "post_attention_layernorm.weight": gain(),
            prefix + "mlp.gate_proj.weight": linear(options.hidden, options.width),
            prefix + "mlp.up_proj.weight": linear(options.hidden, options.width),
            prefix + "mlp.down_proj.weight": linear(options.width, options.hidden),
        }
    tensors["model.norm.weight"] = gain()
    if not options.tied:
        tensors["lm_head.weight"] = linear(options.vocabulary, options.width)
    return tensors


if __name__ == "__main__":
    sys.exit(main())
