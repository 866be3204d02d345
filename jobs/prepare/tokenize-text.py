#!/usr/bin/env python3
"""Tokenises text or CSV into the HDF5 layout that jobs on transformers read.

input_ids, attention_mask, token_type_ids   int32 [rows, length], gzip chunks; padding at the end
labels                                      int64 [rows], with --label; attribute `classes` names them when they are not numbers
GROUP                                       int32 [rows], with --group: for data.split.by, the name is the column's

Example: tokenize-text.py abstracts.csv --text body --label section --group abstract --tokenizer .cache/minilm --out abstracts.h5
"""

import argparse
import csv
import sys
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
from tokenizers import Tokenizer

BLOCK = 1024
IDS = ("input_ids", "attention_mask", "token_type_ids")


class Refused(Exception):
    """What is wrong with the input, and where."""


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=Path, help=".csv or .tsv with a header line; else text, a row a line, empty ones left out")
    parser.add_argument("--tokenizer", type=Path, required=True, help="a tokenizer.json, or the model directory that has one")
    parser.add_argument("--out", type=Path, required=True, help="the HDF5 file; only written when all went well")
    parser.add_argument("--text", default="text", metavar="COLUMN", help="of a CSV: the text (default: text)")
    parser.add_argument("--pair", metavar="COLUMN", help="of a CSV: a second text, after the tokenizer's separator")
    parser.add_argument("--label", metavar="COLUMN", help="of a CSV: the class, whole numbers or names")
    parser.add_argument("--group", metavar="COLUMN", help="of a CSV: rows that must stay on one side of a split")
    parser.add_argument("--length", type=int, default=128, help="tokens a row at most (default: 128); longer rows are cut, and counted")
    parser.add_argument("--rows", type=int, help="stop after this many rows")
    options = parser.parse_args()
    if options.length < 1 or (options.rows is not None and options.rows < 1):
        parser.error("--length and --rows must be at least 1")
    temporary = options.out.with_name(options.out.name + ".partial")
    try:
        print(write(options, temporary))
        temporary.replace(options.out)
    except (Refused, OSError, UnicodeDecodeError, csv.Error) as error:
        print(f"{options.input}: {error}" if not isinstance(error, OSError) else error, file=sys.stderr)
        return 3
    finally:
        temporary.unlink(missing_ok=True)
    return 0


def write(options, path):
    tokenizer = read_tokenizer(options)
    rows, cut, tokens = 0, 0, 0
    labels, groups = [], []
    with open(options.input, encoding="utf-8-sig", newline="") as source, h5py.File(path, "w") as file:
        for name in IDS:
            file.create_dataset(
                name, (0, options.length), np.int32, maxshape=(None, options.length), chunks=(64, options.length), compression="gzip")
        records = islice(read(source, options), options.rows)
        while block := list(islice(records, BLOCK)):
            encoded = tokenizer.encode_batch([(text, pair) if options.pair else text for text, pair, _, _ in block])
            for (_, _, label, group), row in zip(block, encoded):
                labels.append(label)
                groups.append(group)
                cut += bool(row.overflowing)
                tokens += sum(row.attention_mask)
            for name, values in zip(IDS, zip(*((row.ids, row.attention_mask, row.type_ids) for row in encoded))):
                file[name].resize(rows + len(block), 0)
                file[name][rows:] = np.array(values, np.int32)
            rows += len(block)
        if rows == 0:
            raise Refused("no rows")
        if options.label:
            write_labels(file, labels)
        if options.group:
            write_groups(file, options.group, groups)
    return f"{options.out}: {rows} rows, {tokens:,} tokens; {cut} rows cut to {options.length} tokens ({cut / rows:.1%})"


def read_tokenizer(options):
    path = options.tokenizer / "tokenizer.json" if options.tokenizer.is_dir() else options.tokenizer
    if not path.exists():
        raise Refused(f"{path} does not exist: --tokenizer takes a tokenizer.json or a directory with one")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the package raises no narrower kind
        raise Refused(f"{path} is not a tokenizer: {error}") from None
    padding = tokenizer.padding or {}
    # A tokenizer without a padding token pads with id 0; the mask keeps those tokens out of everything.
    tokenizer.enable_padding(
        length=options.length, direction="right", pad_id=padding.get("pad_id", 0), pad_token=padding.get("pad_token", "[PAD]"))
    special = tokenizer.num_special_tokens_to_add(bool(options.pair))
    if options.length <= special:
        raise Refused(f"--length {options.length} leaves no room beside the {special} special tokens of this tokenizer")
    tokenizer.enable_truncation(options.length)
    return tokenizer


def read(source, options):
    """(text, second text, label, group) a row."""
    if options.input.suffix.lower() not in (".csv", ".tsv"):
        for given in ("pair", "label", "group"):
            if getattr(options, given):
                raise Refused(f"--{given} needs a CSV file; text has no columns")
        yield from ((line.strip(), None, None, None) for line in source if line.strip())
        return
    csv.field_size_limit(1 << 26)
    table = csv.DictReader(source, delimiter="\t" if options.input.suffix.lower() == ".tsv" else ",", strict=True)
    wanted = [options.text, options.pair, options.label, options.group]
    for column in filter(None, wanted):
        if column not in (table.fieldnames or []):
            raise Refused(f"no column {column!r}; there are {', '.join(map(repr, table.fieldnames or [])) or 'none'}")
    for record in table:
        values = [record[column] if column else None for column in wanted]
        for column, value in zip(wanted, values):
            if column and not (value or "").strip():
                raise Refused(f"line {table.line_num}: column {column!r} is empty")
        yield values


def whole_numbers(values):
    """The values as integers, or None when some are not."""
    try:
        return np.array([int(value) for value in values], np.int64)
    except (ValueError, OverflowError):
        return None


def write_labels(file, labels):
    """Numbers as they are; names in the order of their bytes."""
    ids = whole_numbers(labels)
    if ids is not None and ids.min() < 0:
        raise Refused("labels below 0: class numbers count from 0")
    names = sorted(set(labels), key=str.encode)
    if ids is None:
        order = {name: index for index, name in enumerate(names)}
        ids = np.array([order[name] for name in labels], np.int64)
        file["labels"] = ids
        file["labels"].attrs["classes"] = np.array(names, dtype=h5py.string_dtype())
    else:
        file["labels"] = ids


def write_groups(file, column, groups):
    """Numbers as they are if they fit; names numbered as they come."""
    ids = whole_numbers(groups)
    if ids is None or ids.min() < 0 or ids.max() > np.iinfo(np.int32).max:
        order = {}
        ids = np.array([order.setdefault(name, len(order)) for name in groups])
    if column in file:
        raise Refused(f"--group {column}: the layout has a dataset of this name; rename the column")
    file[column] = ids.astype(np.int32)


if __name__ == "__main__":
    sys.exit(main())
