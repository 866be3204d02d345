#!/usr/bin/env python3
"""Writes a charter again with settings changed, its paths absolute, for parties that are processes of their own: each of them needs the same bytes.

Usage: variant.py CHARTER.yaml OUT.yaml [key=value …]      Keys with dots, as `--set` of encryptor takes them; values in YAML, `none` too.
"""

import sys
from pathlib import Path

import yaml


def put(charter, path, value):
    """A key's value; sections on the way are made. A section is replaced as a whole."""
    *sections, last = path.split(".")
    for section in sections:
        charter = charter.setdefault(section, {})
    charter[last] = value


def main():
    source, target, *settings = sys.argv[1:]
    charter = yaml.safe_load(Path(source).read_text())
    for setting in settings:
        key, _, value = setting.partition("=")
        put(charter, key, yaml.safe_load(value))
    folder = Path(source).resolve().parent
    for party in [charter["aggregator"], *charter["sites"]]:
        party["key"] = str(folder / party["key"])
    if "columns_file" in charter["data"]:
        charter["data"]["columns_file"] = str(folder / charter["data"]["columns_file"])
    if "huggingface" in charter["model"]:
        charter["model"]["huggingface"] = str(folder / charter["model"]["huggingface"])
    # A site a line, its name first, as jobs/federation/keys.sh reads them.
    sites = "".join(f"  - {{name: {site['name']}, key: {yaml.safe_dump(site['key'], width=4096).splitlines()[0]}}}\n" for site in charter["sites"])
    sections = {key: value for key, value in charter.items() if key != "sites"}
    Path(target).write_text(yaml.safe_dump(sections, sort_keys=False, width=4096) + "sites:\n" + sites)


if __name__ == "__main__":
    main()
