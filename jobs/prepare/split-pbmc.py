#!/usr/bin/env python3
"""Cuts the single-cell file of jobs/pbmc.yaml into four laboratories' files, for jobs/federation/pbmc.yaml.

Cells are dealt at random, 40, 30, 20 and 10 % of them. Each file is an AnnData file with the genes in an order of its own and, as it
would be at a laboratory, only the cell types that occur in it. Beside them genes.txt has the genes in the order of the whole file.

Example: split-pbmc.py .cache/10x_pbmc68k_reduced.h5ad .cache/federation/pbmc
"""

import argparse
import os
import sys
from pathlib import Path

import h5py
import numpy as np

SHARES = {"lab-a": 0.4, "lab-b": 0.3, "lab-c": 0.2, "lab-d": 0.1}


def data_frame(file, name, index, columns=()):
    frame = file.create_group(name)
    frame.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": "_index"})
    frame.attrs["column-order"] = np.array(columns, dtype=h5py.string_dtype())
    strings(frame, "_index", index)
    return frame


def strings(group, name, values):
    dataset = group.create_dataset(name, data=np.array(values, dtype=object), dtype=h5py.string_dtype())
    dataset.attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})


def array(group, name, values, **options):
    dataset = group.create_dataset(name, data=values, **options)
    dataset.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})


def write(path, expression, cells, genes, labels):
    """Expression of cells × genes; labels are names."""
    types = sorted(set(labels))
    with h5py.File(path, "w") as file:
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        array(file, "X", expression, chunks=(min(64, len(cells)), len(genes)), compression="gzip")
        data_frame(file, "var", genes)
        column = data_frame(file, "obs", cells, ["bulk_labels"]).create_group("bulk_labels")
        column.attrs.update({"encoding-type": "categorical", "encoding-version": "0.2.0", "ordered": False})
        strings(column, "categories", types)
        array(column, "codes", np.array([types.index(label) for label in labels], np.int8))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=__doc__.splitlines()[-1])
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path, help="directory")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with h5py.File(options.source) as file:
        expression = file["X"][:]
        genes = [gene.decode() for gene in file["var"]["index"]]
        cells = [cell.decode() for cell in file["obs"]["index"]]
        names = [name.decode() for name in file["uns/bulk_labels_categories"]]
        labels = [names[code] for code in file["obs"]["bulk_labels"]]
    generator = np.random.default_rng(options.seed)
    order = generator.permutation(len(cells))
    bounds = np.round(np.cumsum([0, *SHARES.values()]) * len(cells)).astype(int)
    options.out.mkdir(parents=True, exist_ok=True)
    for site, first, last in zip(SHARES, bounds, bounds[1:]):
        rows = np.sort(order[first:last])
        columns = generator.permutation(len(genes))
        chosen = [labels[row] for row in rows]
        write(
            options.out / f"{site}.h5ad", expression[np.ix_(rows, columns)], [cells[row] for row in rows],
            [genes[column] for column in columns], chosen)
        print(f"{options.out / site}.h5ad: {len(rows)} cells of {len(set(chosen))} types, {len(genes)} genes")
    # Last, and at once: whoever finds it finds all of them.
    unfinished = options.out / "genes.txt.unfinished"
    unfinished.write_text("\n".join(genes) + "\n", encoding="utf-8")
    os.replace(unfinished, options.out / "genes.txt")


if __name__ == "__main__":
    sys.exit(main())
