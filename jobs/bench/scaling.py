#!/usr/bin/env python3
"""How the section task should scale over nodes: a model on paper, from measured compute, message sizes and all-reduce volume.

Usage: scaling.py SECONDS_OF_A_STEP CORES TOKENS OWNER_SHARE IMBALANCE
  the first three measured on one node: seconds, cores used and tokens of a step of 32 samples (weak scaling: each node has 32 of its own);
  OWNER_SHARE: the owner's CPU seconds over the trainer's; IMBALANCE: what the slowest rank takes longer than the mean.
Assumed: nodes of 64 cores that are as fast as as many of the measured ones, 12.5 GB/s and 5 us between nodes, 1.25 GB/s and one such node
at the owner.
"""
import math, sys

seconds, cores, tokens, owner, imbalance = map(float, sys.argv[1:])
node_cores, between, latency, to_owner = 64, 12.5e9, 5e-6, 1.25e9
gradients, bucket = 43.2e6, 1e6  # bytes: what the trainer logs as "gradient sum measured"
width = 384
inputs = tokens * width * 4
compute = seconds * cores / node_cores

print("t(N) = max(c (1 + i), N o c, N I / L, (N - 1) I / b) + max(0, A(N) - 2 c / 3)      (i = 0 for N = 1)")
print("A(N) = 2 (N - 1) / N * G / b + ceil(G / 1 MB) * 2 log2(N) * l      (reduce-scatter and all-gather, bucket by bucket)")
print(f"c = {compute * 1e3:.1f} ms, i = {imbalance:.2f}, o = {owner:.3f}, I = {inputs / 1e6:.2f} MB, G = {gradients / 1e6:.1f} MB")
for sent, where in ((inputs, "Rows sent at every step (loss at the owner)"), (0, "Rows sent once before (loss at the trainer)")):
    print(f"\n{where}:\n\n| nodes | step | all-reduce | tokens/s | efficiency | what bounds it |\n|---|---|---|---|---|---|")
    for nodes in (1, 8, 64, 256):
        reduce = 0 if nodes == 1 else 2 * (nodes - 1) / nodes * gradients / between + math.ceil(gradients / bucket) * 2 * math.log2(nodes) * latency
        bounds = {
            "compute": compute * (1 + (imbalance if nodes > 1 else 0)),
            "the owner's CPU": nodes * owner * compute * (sent > 0),
            "the owner's link": nodes * sent / to_owner,
            "rank 0's link": (nodes - 1) * inputs / between,
        }
        what = max(bounds, key=bounds.get)
        step = bounds[what] + max(0, reduce - 2 * compute / 3)
        speed = nodes * tokens / step
        print(f"| {nodes} | {step * 1e3:.0f} ms | {reduce * 1e3:.1f} ms | {speed / 1e3:,.0f} k | {100 * compute / step:.0f} % | {what} |")
