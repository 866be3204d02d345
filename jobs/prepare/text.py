#!/usr/bin/env python3
"""Texts to token ids and back: `encode` and `decode`.

encode turns text or CSV into the HDF5 layout that jobs on transformers, and `encryptor query` and `generate`, read:

input_ids, attention_mask, token_type_ids   int32 [rows, length], gzip chunks; padding at the end
labels                                      int64 [rows], with --label; attribute `classes` names them when they are not numbers
GROUP                                       int32 [rows], with --group: for data.split.by, the name is the column's

decode turns ids into text, a line each: the `tokens` of what `encryptor generate` has written, or of its --stream, `ROW ID` a line on standard
input, as they come.

Example: text.py encode abstracts.csv --text body --label section --group abstract --tokenizer .cache/minilm --out abstracts.h5
         text.py encode prompts.txt --prompts --tokenizer llama --out prompts.h5
         encryptor generate ... --stream | text.py decode --tokenizer llama
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
    commands = parser.add_subparsers(dest="command", required=True)
    encoding = commands.add_parser("encode", help="text to token ids")
    encoding.add_argument("input", type=Path, help=".csv or .tsv with a header line; else text, a row a line, empty ones left out")
    encoding.add_argument("--out", type=Path, required=True, help="the HDF5 file; only written when all went well")
    encoding.add_argument("--text", default="text", metavar="COLUMN", help="of a CSV: the text (default: text)")
    encoding.add_argument("--pair", metavar="COLUMN", help="of a CSV: a second text, after the tokenizer's separator")
    encoding.add_argument("--label", metavar="COLUMN", help="of a CSV: the class, whole numbers or names")
    encoding.add_argument("--group", metavar="COLUMN", help="of a CSV: rows that must stay on one side of a split")
    encoding.add_argument("--length", type=int, default=128, help="tokens a row at most (default: 128); longer rows are cut, and counted")
    encoding.add_argument("--rows", type=int, help="stop after this many rows")
    encoding.add_argument("--prompts", action="store_true", help="texts to be continued: without the tokenizer's special tokens at their end")
    decoding = commands.add_parser("decode", help="token ids to text")
    decoding.add_argument("input", type=Path, nargs="?", help="what `encryptor generate` wrote (default: its --stream on standard input)")
    for command in (encoding, decoding):
        command.add_argument("--tokenizer", type=Path, required=True, help="a tokenizer.json, or the model directory that has one")
    options = parser.parse_args()
    return encode(encoding, options) if options.command == "encode" else decode(options)


def encode(parser, options):
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


def decode(options):
    try:
        tokenizer = open_tokenizer(options.tokenizer)
        if options.input:
            for text in generated(options.input, tokenizer):
                print(text)
        else:
            follow(sys.stdin, tokenizer)
    except (Refused, OSError) as error:
        print(f"{options.input or 'standard input'}: {error}" if not isinstance(error, OSError) else error, file=sys.stderr)
        return 3
    return 0


def generated(path, tokenizer):
    """A text a row, in one line each."""
    with h5py.File(path) as file:
        if "tokens" not in file or "lengths" not in file:
            raise Refused("no `tokens` and `lengths`: give a file that `encryptor generate` has written")
        tokens, lengths = file["tokens"], file["lengths"][:]
        if tokens.ndim != 2 or lengths.shape != tokens.shape[:1] or (lengths > tokens.shape[1]).any() or (lengths < 0).any():
            raise Refused("`tokens` and `lengths` do not belong together")
        for row, length in zip(tokens, lengths):
            yield printable(tokenizer.decode(check(row[:length], tokenizer)))


def follow(lines, tokenizer):
    """Prints what each new token adds to its row's text; a new row begins a new line."""
    current, ids, shown = None, [], ""
    for number, line in enumerate(lines, 1):
        try:
            row, token = map(int, line.split())
        except ValueError:
            raise Refused(f"line {number} is not `ROW ID`, as `encryptor generate --stream` prints them") from None
        if row != current:
            if current is not None:
                print()
            current, ids, shown = row, [], ""
        ids += check([token], tokenizer)
        text = tokenizer.decode(ids)
        # Bytes of a character that is not whole yet are shown with the rest of it.
        if text.startswith(shown) and not text.endswith("\ufffd"):
            print(printable(text[len(shown):]), end="", flush=True)
            shown = text
    if current is not None:
        print()


def printable(text):
    """Without control characters: a model may write what a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text)


def check(ids, tokenizer):
    ids = [int(token) for token in ids]
    for token in ids:
        if not 0 <= token < tokenizer.get_vocab_size():
            raise Refused(f"id {token} is not of this tokenizer, which has {tokenizer.get_vocab_size()} tokens")
    return ids


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
            encoded = [columns(row, options.prompts) for row in encoded]
            for (_, _, label, group), (_, mask, _, overflows) in zip(block, encoded):
                labels.append(label)
                groups.append(group)
                cut += overflows
                tokens += sum(mask)
            for name, values in zip(IDS, zip(*(row[:3] for row in encoded))):
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


def columns(row, is_prompt):
    """Ids, mask and types of a row, and whether it was cut. A prompt's special tokens at its end become padding."""
    mask = list(row.attention_mask)
    length = sum(mask)
    while is_prompt and length > 1 and row.special_tokens_mask[length - 1]:
        length -= 1
        mask[length] = 0
    return row.ids, mask, row.type_ids, bool(row.overflowing)


def open_tokenizer(place):
    path = place / "tokenizer.json" if place.is_dir() else place
    if not path.exists():
        raise Refused(f"{path} does not exist: --tokenizer takes a tokenizer.json or a directory with one")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the package raises no narrower kind
        raise Refused(f"{path} is not a tokenizer: {error}") from None


def read_tokenizer(options):
    tokenizer = open_tokenizer(options.tokenizer)
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
