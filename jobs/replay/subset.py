#!/usr/bin/env python3
"""Writes the first rows of an HDF5 file as a file of their own, for runs of few steps.

With --training N the cut comes right after the N-th row that `split: {by, modulo, equals}` leaves to training: at batch B an epoch is then
N/B steps.

Example: subset.py pubmed_sections_128.h5 .cache/replay/pubmed.h5 --by abstract --modulo 5 --equals 4 --training 640
"""

import argparse
import sys
from pathlib import Path

import h5py
import numpy as np


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=__doc__.splitlines()[-1])
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rows", type=int, help="how many rows; or")
    parser.add_argument("--training", type=int, help="how many rows to train on")
    parser.add_argument("--by")
    parser.add_argument("--modulo", type=int)
    parser.add_argument("--equals", type=int)
    options = parser.parse_args()
    if (options.rows is None) == (options.training is None):
        parser.error("give either --rows or --training")
    if options.training and None in (options.by, options.modulo, options.equals):
        parser.error("--training needs --by, --modulo and --equals")
    with h5py.File(options.source) as source:
        rows = options.rows
        if options.training:
            trained = np.cumsum(source[options.by][()] % options.modulo != options.equals)
            if trained[-1] < options.training:
                raise SystemExit(f"{options.source}: only {trained[-1]} rows to train on")
            rows = int(np.searchsorted(trained, options.training)) + 1
        options.out.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(options.out, "w") as target:
            for name, data in source.items():
                made = target.create_dataset(name, data=data[:rows], chunks=data.chunks, compression=data.compression)
                made.attrs.update(data.attrs)
    print(f"{options.out}: the first {rows} rows of {options.source.name}")


if __name__ == "__main__":
    sys.exit(main())
