#!/usr/bin/env python3
"""Writes the small HDF5 files of the replay matrix: one a task, each in another layout, so that reading is replayed too.

classification.h5   X: AnnData's compressed sparse rows; obs/kind: categories not in alphabetical order
older.h5            X: the older sparse layout; label: strings of any length
multilabel.h5       fingerprints: uint8, gzip chunks; labels: float32 with NaN
regression.h5       table: big-endian float64 of several scales; targets: float32 with NaN
survival.h5         rows: float32; days: whole numbers with ties; event: truth values
"""

import sys
from pathlib import Path

import h5py
import numpy as np

ROWS, COLUMNS = 600, 40


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(20)
    classification(folder / "classification.h5", random)
    older(folder / "older.h5", random)
    multilabel(folder / "multilabel.h5", random)
    regression(folder / "regression.h5", random)
    survival(folder / "survival.h5", random)


def sparse(random):
    """Rows with about a third of their entries set, as dense values and as (data, indices, indptr)."""
    dense = random.exponential(1, (ROWS, COLUMNS)) * (random.random((ROWS, COLUMNS)) < 0.3)
    dense = dense.astype(np.float32)
    rows, columns = np.nonzero(dense)
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=ROWS))])
    return dense, (dense[rows, columns], columns.astype(np.int32), starts.astype(np.int32))


def classes(random, dense, count):
    return (dense @ random.normal(size=(COLUMNS, count)) + random.normal(size=(ROWS, count))).argmax(1)


def write_sparse(group, parts):
    for name, part in zip(("data", "indices", "indptr"), parts):
        group[name] = part


def classification(path, random):
    dense, parts = sparse(random)
    with h5py.File(path, "w") as file:
        x = file.create_group("X")
        x.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": dense.shape})
        write_sparse(x, parts)
        kind = file.create_group("obs").create_group("kind")
        kind.attrs.update({"encoding-type": "categorical", "encoding-version": "0.2.0", "ordered": False})
        kind["codes"] = classes(random, dense, 5).astype(np.int8)
        kind["categories"] = np.array(["zeta", "Alpha", "mid", "beta", "été"], dtype=h5py.string_dtype())


def older(path, random):
    dense, parts = sparse(random)
    with h5py.File(path, "w") as file:
        x = file.create_group("X")
        x.attrs.update({"h5sparse_format": "csr", "h5sparse_shape": dense.shape})
        write_sparse(x, parts)
        names = np.array(["b", "ab", "É", "B"], dtype=object)
        file.create_dataset("label", data=names[classes(random, dense, 4)], dtype=h5py.string_dtype())


def multilabel(path, random):
    bits = (random.random((ROWS, COLUMNS)) < 0.2).astype(np.uint8)
    labels = (bits @ random.normal(size=(COLUMNS, 6)) + random.normal(size=(ROWS, 6)) > 0.5).astype(np.float32)
    labels[random.random(labels.shape) < 0.2] = np.nan
    with h5py.File(path, "w") as file:
        file.create_dataset("fingerprints", data=bits, chunks=(64, COLUMNS), compression="gzip", shuffle=True)
        file["labels"] = labels


def regression(path, random):
    scales = 10.0 ** random.uniform(-2, 2, COLUMNS)
    table = random.normal(size=(ROWS, COLUMNS)) * scales + 3 * scales
    targets = (table / scales - 3) @ random.normal(size=(COLUMNS, 3)) / 4 + 0.2 * random.normal(size=(ROWS, 3))
    targets[random.random(targets.shape) < 0.1] = np.nan
    with h5py.File(path, "w") as file:
        file.create_dataset("table", data=table.astype(">f8"))
        file["targets"] = targets.astype(np.float32)


def survival(path, random):
    rows = random.normal(size=(ROWS, COLUMNS)).astype(np.float32)
    hazards = np.exp(rows @ random.normal(size=COLUMNS) / 6)
    events, ends = random.exponential(200 / hazards), random.exponential(300, ROWS)
    with h5py.File(path, "w") as file:
        file["rows"] = rows
        file["days"] = np.ceil(np.minimum(events, ends) / 5).astype(np.int32)
        file["event"] = events <= ends


if __name__ == "__main__":
    main()
