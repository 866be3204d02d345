#!/usr/bin/env python3
"""Draws what was measured beside PyTorch: tokens a second, and peak memory, each as one SVG picture that needs nothing else.

`make bench` writes both beside bench.json. By hand, of several measurements in parts: pictures.py OUT_FOLDER NAME bench.json …
A group of bars is one model and batch and has a scale of its own, which begins at 0: bars of different groups are not to be compared.
"""

import json
import sys
from html import escape
from pathlib import Path

WIDTH, LEFT, RIGHT, BAR, GAP, HEADING = 880, 190, 110, 16, 5, 34
TITLES = {
    "speed": "Tokens a second: masked, both programs, beside plaintext PyTorch on the same cores",
    "memory": "Peak memory in MB: the two programs beside plaintext PyTorch",
}
# Colours of roles.svg: the owner green, the provider blue; what it is compared with grey.
STYLE = """
    text { fill: #24292f } .title { font-weight: bold; font-size: 15px } .group { font-weight: bold } .note { fill: #57606a; font-size: 13px }
    .axis { stroke: #57606a } .masked { fill: #0969da } .owner { fill: #1a7f37 } .plain { fill: #8c959f }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 } .note { fill: #9da7b1 } .axis { stroke: #8b949e }
      .masked { fill: #58a6ff } .owner { fill: #3fb950 } .plain { fill: #6e7681 }
    }"""


def write(facts, rows, folder, name):
    """One picture a kind for which something was measured; the paths written."""
    written = []
    for kind in TITLES:
        groups = [row["picture"] for row in rows if row.get("picture", {}).get("kind") == kind]
        if groups:
            path = Path(folder) / f"{name}-{kind}.svg"
            path.write_text(picture(kind, groups, facts))
            written.append(path)
    return written


def picture(kind, groups, facts):
    title = TITLES[kind]
    parts, y = [], 76
    for group in groups:
        parts.append(f'  <text class="group" x="10" y="{y}">{escape(group["group"])}</text>')
        y += 12
        top, most = y, max(group["bars"].values())
        for label, value in group["bars"].items():
            length = max(1.0, (WIDTH - LEFT - RIGHT) * value / most)
            parts.append(
                f'  <text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(named(label))}</text>'
                f'<rect class="{role(label)}" x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}"/>'
                f'<text x="{LEFT + length + 6:.1f}" y="{y + 13}">{said(kind, value)}</text>')
            y += BAR + GAP
        parts.append(f'  <path class="axis" d="M{LEFT} {top - 3} V{y}"/>')
        y += HEADING
    height = y - HEADING + 16
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'font-family="Helvetica, Arial, sans-serif" font-size="14" role="img" aria-label="{escape(described(title, groups, kind))}">',
        f"  <style>{STYLE}\n  </style>",
        f'  <text class="title" x="10" y="20">{escape(title)}</text>',
        f'  <text class="note" x="10" y="42">{escape(measured_on(facts))}; each group has its own scale</text>',
        *parts, "</svg>", ""])


def measured_on(facts):
    return f"{facts['processor']}, {facts['kind']}, {facts['cores']} cores"


def described(title, groups, kind):
    """The same in words, for those who hear it."""
    sentences = []
    for group in groups:
        values = ", ".join(f"{named(label)} {said(kind, value)}" for label, value in group["bars"].items())
        sentences.append(f"{group['group']}: {values}")
    return f"{title}. " + ". ".join(sentences)


def said(kind, value):
    if kind == "memory":
        return f"{value / 1e6:,.0f} MB"
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def named(label):
    plain = label.startswith(("fp32", "bf16"))
    return (f"PyTorch {label}" if plain else label).replace("-compile", ", compiled")


def role(label):
    return "masked" if label.startswith(("masked", "trainer")) else "owner" if label.startswith("owner") else "plain"


def main():
    folder, name, *files = sys.argv[1:]
    found = [json.loads(Path(file).read_text()) for file in files]
    # A later file's group stands for an earlier one's.
    rows = {}
    for row in (row for one in found for row in one["rows"] if "picture" in row):
        rows[row["picture"]["kind"], row["picture"]["group"]] = row
    for path in write(found[-1], list(rows.values()), folder, name):
        print(path)


if __name__ == "__main__":
    sys.exit(main())
