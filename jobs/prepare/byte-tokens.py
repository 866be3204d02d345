#!/usr/bin/env python3
"""Writes text files as byte-level tokens: 0…255 are bytes, 256 starts a sample, 257 pads.

A stand-in for a tokenizer, for jobs/llama-lora.yaml and its random model. Samples are the files' paragraphs, those longer than --length
cut into several. Layout: input_ids and attention_mask, int32 [samples, length].

Example: byte-tokens.py README.md docs/operations.md .cache/readme-bytes.h5 --length 64
"""

import argparse
import sys
from pathlib import Path

import h5py
import numpy as np

START, PADDING = 256, 257


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=__doc__.splitlines()[-1])
    parser.add_argument("texts", type=Path, nargs="+", metavar="text")
    parser.add_argument("out", type=Path)
    parser.add_argument("--length", type=int, default=64, help="tokens of the longest sample, at least 3")
    options = parser.parse_args()
    if options.length < 3:
        parser.error("--length must be at least 3: a start and two bytes to tell apart")
    samples = []
    for paragraph in b"\n\n".join(text.read_bytes() for text in options.texts).split(b"\n\n"):
        paragraph = paragraph.strip()
        pieces = [paragraph[first : first + options.length - 1] for first in range(0, len(paragraph), options.length - 1)]
        # A byte alone has too little to predict.
        samples += [piece for piece in pieces if len(piece) > 1]
    if not samples:
        raise SystemExit("no paragraph of two bytes or more in " + ", ".join(map(str, options.texts)))
    tokens = np.full((len(samples), options.length), PADDING, np.int32)
    mask = np.zeros_like(tokens)
    for row, piece in enumerate(samples):
        tokens[row, : len(piece) + 1] = [START, *piece]
        mask[row, : len(piece) + 1] = 1
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(options.out, "w") as file:
        for name, values in (("input_ids", tokens), ("attention_mask", mask)):
            file.create_dataset(name, data=values, chunks=(min(64, len(samples)), options.length), compression="gzip")
    print(f"{options.out}: {len(samples)} samples of up to {options.length} bytes from {len(options.texts)} files, {int(mask.sum()):,} tokens")


if __name__ == "__main__":
    sys.exit(main())
