#!/usr/bin/env python3
"""Prints how the answers of clients fit what the owner's own inference predicts, and the labels of the rows that were held out.

Usage: compare.py RUN DATA.h5ad PREDICTED.h5 NAME=ANSWERS.h5 …     Exit 7 when a class differs, or an output by more than 1e-4 of the largest.
"""

import sys
from pathlib import Path

import h5py
import numpy as np


def main():
    if len(sys.argv) < 5:
        print(__doc__.strip().splitlines()[-1], file=sys.stderr)
        return 2
    run, data, predicted, *clients = sys.argv[1:]
    with h5py.File(Path(run) / "plan.h5") as plan:
        held_out = plan["split/validation"][()]
    with h5py.File(data) as file:
        labels = file["obs"]["bulk_labels"]
    classes, outputs = read(predicted)
    print(f"{'client':<10}{'rows':>6}   {'class as predict':<18}{'largest difference':<20}right among {len(held_out)} held-out cells")
    is_right = True
    for client in clients:
        name, path = client.split("=", 1)
        found, values = read(path)
        same = (found == classes).mean()
        difference = np.abs(values - outputs).max() / np.abs(outputs).max()
        accuracy = (found[held_out] == labels[held_out]).mean()
        print(f"{name:<10}{len(found):>6}   {same:<18.2%}{difference:<20.1e}{accuracy:.1%}")
        is_right = is_right and same == 1 and difference <= 1e-4
    return 0 if is_right else 7


def read(path):
    with h5py.File(path) as file:
        return file["predictions"][()].reshape(-1), file["outputs"][()]


if __name__ == "__main__":
    sys.exit(main())
