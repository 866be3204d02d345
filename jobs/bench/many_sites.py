#!/usr/bin/env python3
"""Memory of an aggregator, and bytes that a site sends, with many sites and a large model: real messages, masks and sums on loopback, no training.

The aggregator is `aggregator serve`; all sites are threads of one `benchmarks sites`, whose models and updates are zeros.

Example: many_sites.py --sites 100 --entries 11000000
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

CHARTER = """\
name: many
aggregator: {{address: "{address}", key: keys/aggregator/aggregator.pub}}
sites:
{sites}
data: {{columns: [a], classes: [no, yes], standardize: none}}
task: classification
model: {{mlp: {{hidden: []}}}}
optimizer: {{name: sgd, lr: 0.1}}
train: {{batch: 1, seed: 1, keep: last}}
federation:
  strategy: {{name: fedavg, weighting: rows}}
  rounds: {rounds}
  local: {{updates: 1}}
  participation: {{minimum: 2, patience: 3600}}
  fixed_point: {{update_clip: 8.0, rows_bound: 4096}}
  masking: {{strength: none}}
  aggregation: {aggregation}
"""


def prepare(options, where):
    """Keys of all parties and the charter; nothing where they are there."""
    names = [f"site-{number:03}" for number in range(options.sites)]
    keys = where / "keys"
    if not (where / "charter.yaml").exists():
        keys.mkdir(parents=True)
        for name in names:
            subprocess.run([options.bin / "encryptor", "keygen", keys / name], check=True, capture_output=True)
        subprocess.run([options.bin / "aggregator", "keygen", keys / "aggregator"], check=True, capture_output=True)
        sites = "\n".join(f"  - {{name: {name}, key: keys/{name}/owner.pub}}" for name in names)
        (where / "charter.yaml").write_text(CHARTER.format(
            address=options.address, sites=sites, rounds=options.rounds, aggregation="plain" if options.plain else "secure"))
    return where / "charter.yaml", keys


def peak(process):
    """The largest resident memory of a process so far, in bytes."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


def measure(options, where):
    charter, keys = prepare(options, where)
    aggregator = subprocess.Popen(
        [str(options.bin / "aggregator"), "serve", "--keys", str(keys / "aggregator"), "--charter", str(charter), "--store", str(where / "store"),
         "--bind", options.address], stdout=subprocess.PIPE, stderr=open(where / "aggregator.log", "wb"), text=True)
    try:
        if not aggregator.stdout.readline().startswith("listening"):
            raise SystemExit((where / "aggregator.log").read_text())
        at_rest = peak(aggregator)
        began = time.monotonic()
        sites = subprocess.Popen(
            [str(options.bin / "benchmarks"), "sites", str(charter), "--keys", str(keys), "--entries", str(options.entries), "--width",
             str(options.width), "--out", str(where / "runs")], stdout=subprocess.PIPE, text=True)
        most = at_rest
        while sites.poll() is None:
            time.sleep(0.5)
            most = max(most, peak(aggregator) if aggregator.poll() is None else 0)
        output = sites.stdout.read()
        if sites.returncode != 0:
            raise SystemExit(f"the sites ended with {sites.returncode}; {where}/aggregator.log")
        return json.loads(output), most, at_rest, time.monotonic() - began
    finally:
        aggregator.kill()
        aggregator.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], epilog=__doc__.splitlines()[-1])
    parser.add_argument("--bin", type=Path, default=ROOT / ".build/release")
    parser.add_argument("--sites", type=int, default=100)
    parser.add_argument("--entries", type=int, default=11_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--width", type=int, default=2, help="sites that make a vector at a time")
    parser.add_argument("--plain", action="store_true", help="sums that are not masked: up to 1000 sites")
    parser.add_argument("--address", default="tcp://127.0.0.1:5599")
    parser.add_argument("--prepare", type=Path, help="only write keys and charter.yaml into this directory")
    options = parser.parse_args()
    if options.prepare:
        prepare(options, options.prepare)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        result, most, at_rest, seconds = measure(options, Path(scratch))
    vector = 8 * options.entries
    print(f"{options.sites} sites, {options.entries:,} parameters, {options.rounds} rounds, {seconds:.0f} s")
    print(f"aggregator: {most / 1e6:.0f} MB at its peak ({at_rest / 1e6:.0f} MB before), bar two vectors of 64 bits + 200 MB: {(2 * vector + 200e6) / 1e6:.0f} MB")
    print(f"a site sends {result['bytesSent'] / 1e6:.1f} MB, {result['bytesSent'] / result['bytesOfPlainFloats']:.3f} of plain float32 (bar 2.05); "
          f"the one whose starting model is taken {result['mostBytesSent'] / result['bytesOfPlainFloats']:.3f}")


if __name__ == "__main__":
    sys.exit(main())
