#!/usr/bin/env python3
"""Prints how a model of bytes went on after the paragraphs of a file, for each client; what is no printable character is a dot.

Usage: texts.py PROMPTS.txt NAME=TEXTS.h5 …     TEXTS.h5 is of `encryptor generate`. Exit 7 when clients that took the likeliest tokens have other ones.
"""

import sys
from pathlib import Path

import h5py


def main():
    if len(sys.argv) < 3:
        print(__doc__.strip().splitlines()[-1], file=sys.stderr)
        return 2
    prompts = Path(sys.argv[1]).read_text().strip().split("\n\n")
    texts = dict(client.split("=", 1) for client in sys.argv[2:])
    found = {name: read(path) for name, path in texts.items()}
    for row, prompt in enumerate(prompts):
        for name, rows in found.items():
            characters = "".join(chr(token) if 32 <= token < 127 else "·" for token in rows[row])
            print(f"{name:<8}{prompt} → {characters}")
    first, *others = found.values()
    same = all(other == first for other in others)
    print("the same tokens at every client: each the likeliest" if same else "clients have other tokens")
    return 0 if same else 7


def read(path):
    with h5py.File(path) as file:
        return [row[:length].tolist() for row, length in zip(file["tokens"][()], file["lengths"][()])]


if __name__ == "__main__":
    sys.exit(main())
