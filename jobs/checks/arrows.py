#!/usr/bin/env python3
"""Checks the module arrows: every target depends only on targets of lower levels, and what the provider's program links
never reaches the code that could unmask. Reads `swift package describe --type json`; exits 1 naming each wrong arrow."""
import json
import subprocess
import sys

LEVELS = [
    {"CBLAS", "CHDF5", "CSodium", "CZeroMQ", "CKernels", "CMPI", "CFaults"},
    {"Foundations", "Cryptography", "CCheckedFile"},
    {"Numerics", "Models", "SecureSums", "Privacy"},
    {"Files"},
    {"Training", "Masking", "Datasets", "JobSpec", "Protocol", "Collectives", "Families"},
    {"Service", "Federation"},
    {"OwnerRole", "TrainerRole", "AggregatorRole", "ServerProgram"},
    {"LeakAudit", "SiteRole"},
    {"encryptor", "trainer", "aggregator", "benchmarks", "fuzz"},
]
UNMASKS = {"Masking", "Datasets", "Families", "OwnerRole", "SiteRole", "LeakAudit"}
# The aggregator reads a charter, which JobSpec does, and nothing that could train or unmask.
FORBIDDEN = {"trainer": UNMASKS | {"JobSpec", "Privacy"}, "aggregator": UNMASKS | {"Training", "TrainerRole"}}

level = {name: number for number, names in enumerate(LEVELS) for name in names}
package = json.loads(subprocess.run(
    ["swift", "package", "describe", "--type", "json"], check=True, capture_output=True, text=True).stdout)
targets = {
    t["name"]: set(t.get("target_dependencies", []))
    for t in package["targets"] if t["type"] != "test" and not t["path"].startswith("Tests/")}
problems = []
for name, dependencies in sorted(targets.items()):
    if name not in level:
        problems.append(f"{name} has no level; add it to LEVELS")
        continue
    for other in sorted(dependencies):
        if level.get(other, -1) >= level[name]:
            problems.append(f"{name} → {other}: an arrow sideways or up the page")


def reach(name):
    found, waiting = set(), [name]
    while waiting:
        for other in targets.get(waiting.pop(), ()):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found


for name, forbidden in FORBIDDEN.items():
    for other in sorted(reach(name) & forbidden):
        problems.append(f"{name} reaches {other}: that program must not hold that code")
print("\n".join(problems) if problems else f"arrows: {len(targets)} targets in {len(LEVELS)} levels, none wrong")
sys.exit(1 if problems else 0)
