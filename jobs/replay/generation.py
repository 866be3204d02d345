#!/usr/bin/env python3
"""Greedy text of `encryptor generate`, masked, token by token beside `transformers.generate` in plaintext on the same weights.

A Llama of random weights (grouped heads, rotary positions) is deployed on a trainer of its own; --prompts of different lengths are continued by
--tokens at most. Exit 7 where a token differs. Random logits can nearly tie: how far the two largest are apart at least is printed with it.

Example: generation.py --prompts 20 --tokens 64 --vocabulary 2000
"""

import argparse
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import torch
from transformers import AutoModelForCausalLM

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))
from deployed import deploy, encryptor, make_clients  # noqa: E402
from local import ROOT, LocalTrainer, fresh, make_keys  # noqa: E402

LONGEST = 96


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--vocabulary", type=int, default=2000)
    parser.add_argument("--strength", default="rotation", choices=["none", "permutation", "rotation"])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    folder = fresh(ROOT / ".cache" / "replay" / "generation")
    make_keys(folder)
    (client,) = make_clients(folder / "clients", 1)
    model = folder / "llama"
    subprocess.run(
        [sys.executable, ROOT / "jobs/prepare/random-llama.py", model, "--vocabulary", str(options.vocabulary), "--seed", str(options.seed)],
        check=True, stdout=subprocess.DEVNULL)
    prompts = write_prompts(folder / "prompts.h5", options)
    with LocalTrainer(folder, folder / "store") as trainer:
        deploy(model, folder, trainer.endpoint, folder / "deployment", [client],
               ["--task", "causal-lm", "--strength", options.strength, "--max-tokens", str(LONGEST + options.tokens)])
        encryptor("generate", folder / "deployment" / "clients" / client, "--keys", folder / "clients" / client,
                  "--prompts", folder / "prompts.h5", "--out", folder / "texts.h5", "--max-tokens", options.tokens, "--temperature", 0)
    with h5py.File(folder / "texts.h5") as file:
        found = [row[:length].tolist() for row, length in zip(file["tokens"][:], file["lengths"][:])]
    expected, margin = plaintext(model, prompts, options.tokens)
    wrong = [row for row, texts in enumerate(zip(found, expected)) if texts[0] != texts[1]]
    print(f"{len(prompts)} prompts, {sum(map(len, expected))} greedy tokens, strength {options.strength}: "
          f"{len(prompts) - len(wrong)} texts the same token for token; the two largest logits are {margin:.1e} apart at least")
    for row in wrong:
        print(f"  prompt {row}: {found[row]} is not {expected[row]}")
    return 7 if wrong or len(found) != len(prompts) else 0


def write_prompts(path, options):
    numbers = np.random.default_rng(options.seed)
    prompts = [numbers.integers(0, options.vocabulary - 2, numbers.integers(1, LONGEST)) for _ in range(options.prompts)]
    ids, mask = np.zeros((2, len(prompts), LONGEST), np.int32)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)], mask[row, : len(prompt)] = prompt, 1
    with h5py.File(path, "w") as file:
        file["input_ids"], file["attention_mask"] = ids, mask
    return prompts


def plaintext(directory, prompts, tokens):
    """Each prompt by itself, without padding; the texts, and the least distance of the two largest logits."""
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    texts, margin = [], np.inf
    for prompt in prompts:
        ids = torch.tensor(prompt)[None]
        result = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=tokens, output_logits=True, return_dict_in_generate=True)
        texts.append(result.sequences[0, len(prompt):].tolist())
        for logits in result.logits:
            largest = logits[0].topk(2).values
            margin = min(margin, float(largest[0] - largest[1]))
    return texts, margin


if __name__ == "__main__":
    sys.exit(main())
