#!/usr/bin/env python3
"""Cuts the PubMed passages of jobs/pubmed-minilm.yaml into three institutes' files, for jobs/federation/pubmed.yaml.

Abstracts are dealt at random, 50, 30 and 20 % of them, each with all of its passages. With --rows N about N passages are kept in
all, each institute's share of them, for a run of minutes.

Example: split-pubmed.py pubmed_sections_128.h5 .cache/federation/pubmed --rows 400
"""

import argparse
import sys
from pathlib import Path

import h5py
import numpy as np

SHARES = {"institute-a": 0.5, "institute-b": 0.3, "institute-c": 0.2}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=__doc__.splitlines()[-1])
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path, help="directory")
    parser.add_argument("--rows", type=int, help="passages of all institutes together, at most")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    with h5py.File(options.source) as source:
        abstract = source["abstract"][()]
        abstracts = np.random.default_rng(options.seed).permutation(np.unique(abstract))
        bounds = np.round(np.cumsum([0, *SHARES.values()]) * len(abstracts)).astype(int)
        options.out.mkdir(parents=True, exist_ok=True)
        for (site, share), first, last in zip(SHARES.items(), bounds, bounds[1:]):
            most = round(share * options.rows) if options.rows else None
            rows = np.flatnonzero(np.isin(abstract, abstracts[first:last]))[:most]
            with h5py.File(options.out / f"{site}.h5", "w") as target:
                for name, data in source.items():
                    made = target.create_dataset(name, data=data[()][rows])
                    made.attrs.update(data.attrs)
            print(f"{options.out / site}.h5: {len(rows)} passages of {last - first} abstracts")


if __name__ == "__main__":
    sys.exit(main())
