#!/usr/bin/env python3
"""Checks that the documents stay true: relative links and their headings exist, and so do the paths, `make` targets and modules that
they name; README.md has at most 150 lines. Exits 1 naming each problem."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
README_LINES = 150

# `jobs/ID/…` is a folder of a trainer's store, not of this repository.
PATH = re.compile(r"(?<![\w./-])((?:Sources|Tests|jobs(?!/ID/)|docs|\.ci)/[\w.+/-]+)")
TARGET = re.compile(r"\bmake ([a-z][a-z0-9-]*)")
LINK = re.compile(r"\]\(([^)\s]+)\)")
MODULE_ROW = re.compile(r"^\| \d+ \| (.*?) \|")
PHONY = re.compile(r"^\.PHONY:(.*)$", re.MULTILINE)


def anchors(text):
    """The anchors that headings get on GitHub: lower case, no punctuation, dashes for spaces."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", without_code(text), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        found.add(re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-"))
    return found


def without_code(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def code(text):
    """Code blocks and spans: there a `make` is a command, not a verb."""
    blocks = re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL) + re.findall(r"^    .*$", text, re.MULTILINE)
    return "\n".join(blocks + re.findall(r"`([^`\n]+)`", without_code(text)))


def check(document, targets, modules):
    text = document.read_text(encoding="utf-8")
    name = document.relative_to(ROOT)
    for link in LINK.findall(without_code(text)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        file = (document.parent / path).resolve() if path else document
        if not file.exists():
            yield f"{name}: the link {link} leads nowhere"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text(encoding="utf-8")):
            yield f"{name}: the link {link} names no heading"
    for path in sorted(set(PATH.findall(text))):
        path = path.rstrip(".")
        if not (ROOT / path).exists():
            yield f"{name}: there is no {path}"
    for target in sorted(set(TARGET.findall(code(text))) - targets):
        yield f"{name}: the Makefile has no target {target}"
    for row in text.splitlines():
        match = MODULE_ROW.match(row) if document.stem == "architecture" else None
        for module in re.findall(r"`(\w+)`", match.group(1)) if match else []:
            if module not in modules:
                yield f"{name}: there is no module {module}"


def main():
    targets = set(" ".join(PHONY.findall((ROOT / "Makefile").read_text(encoding="utf-8"))).split())
    modules = {path.name for path in (ROOT / "Sources").iterdir() if path.is_dir()}
    problems = [problem for document in DOCUMENTS for problem in check(document, targets, modules)]
    lines = len((ROOT / "README.md").read_text(encoding="utf-8").splitlines())
    if lines > README_LINES:
        problems.append(f"README.md has {lines} lines, more than {README_LINES}")
    print("\n".join(problems) if problems else f"docs: {len(DOCUMENTS)} documents, links, paths, targets and modules are there")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
