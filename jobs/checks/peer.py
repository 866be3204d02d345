#!/usr/bin/env python3
"""A second owner, written from docs/protocol.md alone: says hello to a trainer, submits a small linear model, trains it for a few steps with
the loss at the owner and nothing masked, fetches the weights, and compares them with the same steps in NumPy. Exits 1 where they differ.

Needs pyzmq and NumPy. Usage: peer.py TRAINER-PROGRAM
"""
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy as np
import zmq

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "replay"))
from noise import normals  # noqa: E402

FEATURES, OUTPUTS, BATCH, PART, STEPS, RATE = 5, 3, 8, 4, 6, 0.1
# NumPy has no bfloat16; of its halves of a float32 the upper one is such a number.
TYPES = {np.dtype("<f4"): 1, np.dtype("<i4"): 3, np.dtype("u1"): 5, np.dtype("<u2"): 6}
DTYPES = {number: dtype for dtype, number in TYPES.items()}
KINDS = {101: "welcome", 102: "accepted", 103: "refused", 104: "queued", 105: "attached", 106: "outputs", 107: "step applied",
         109: "checkpointed", 110: "stored", 112: "parameters", 114: "removed", 115: "goodbye", 116: "pong", 117: "finished"}
PIECE = 4 << 20


class Peer:
    def __init__(self, endpoint, trainer_key, version=6):
        self.job, self.version = os.urandom(16), version
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.curve_publickey, self.socket.curve_secretkey, self.socket.curve_serverkey = *KEYS, trainer_key
        self.socket.linger = 0
        self.socket.connect(endpoint)

    def send(self, kind, fields=b"", tensors=()):
        tensors = [np.ascontiguousarray(tensor) for tensor in tensors]
        header = b"EQTR" + struct.pack("<HBB", self.version, kind, len(tensors)) + self.job
        for tensor in tensors:
            header += struct.pack(f"<BB{tensor.ndim}Q", TYPES[tensor.dtype], tensor.ndim, *tensor.shape)
        frames = [header + fields, *(tensor.tobytes() for tensor in tensors)]
        table = b"EqTr" + bytes([1, 0, 0, 0]) + b"".join(struct.pack("<Q", len(frame)) for frame in frames)
        pieces = [frame[first : first + PIECE] for frame in frames for first in range(0, len(frame), PIECE)]
        self.socket.send_multipart([table, *pieces])

    def receive(self, *expected):
        """The next message of one of these kinds: its name, its fields, its tensors. Checkpoints and pongs are passed over."""
        while True:
            if not self.socket.poll(10_000):
                raise SystemExit(f"no answer; {' or '.join(expected)} was due")
            table, *pieces = self.socket.recv_multipart()
            assert table[:4] == b"EqTr" and table[4:8] == bytes([1, 0, 0, 0]), table
            frames, rest = [], iter(pieces)
            for (length,) in struct.iter_unpack("<Q", table[8:]):
                frames.append(b"".join(next(rest) for _ in range(-(-length // PIECE))))
                assert len(frames[-1]) == length
            header, *bodies = frames
            magic, version, kind, count = struct.unpack("<4sHBB", header[:8])
            assert magic == b"EQTR" and version == self.version and count == len(bodies), header[:8]
            position, tensors = 24, []
            for body in bodies:
                number, rank = header[position], header[position + 1]
                shape = struct.unpack_from(f"<{rank}Q", header, position + 2)
                position += 2 + 8 * rank
                tensors.append(np.frombuffer(body, DTYPES[number]).reshape(shape))
            name, fields = KINDS[kind], header[position:]
            if name == "refused" and name not in expected:
                raise SystemExit(f"refused: {fields[12:].decode()}")
            if name in expected:
                return name, fields, tensors
            assert name in ("checkpointed", "pong", "queued"), name


def index(*numbers):
    return struct.pack(f"<{len(numbers)}Q", *numbers)


def model(version):
    """The keys that tell a linear model's description, in the form of a wire version."""
    columns = {"features": FEATURES, "padding": 1}
    if version == 2:
        return {"model": {"mlp": {"_0": {"input": columns, "hidden": [], "activation": "relu", "outputs": OUTPUTS}}}}
    parameters = {"hasBias": True, "isTrained": True, "weightOrigin": "linear", "biasOrigin": "linear", "biasIsWithoutEffect": False}
    spaces = [{"id": "input", "width": FEATURES + 2, "homogeneous": columns}, {"id": "output", "width": OUTPUTS}]
    layer = {"kind": "linear", "name": "layers.0", "from": 0, "to": "output", "parameters": parameters}
    return {"graph": {"spaces": spaces, "layers": [layer]}}


def description(rows, version):
    return {
        **model(version), "purpose": "training",
        "optimizer": {"kind": "sgd", "learningRate": RATE, "momentum": 0.0, "nesterov": False, "weightDecay": 0.0},
        "schedule": {"warmup": 0.0, "decay": "none"}, "lossLocation": "owner", "epochs": 1, "stepsPerEpoch": STEPS, "batch": BATCH,
        "microBatch": PART, "keep": "last", "checkpointEverySteps": 2, "trainingRows": rows, "validationRows": 0, "totalTokens": 0,
    }


def gradient(outputs, targets):
    """Of the mean of squares over a batch."""
    return (2 * (outputs - targets) / (BATCH * OUTPUTS)).astype("<f4")


def narrowed(values):
    """float32 as bfloat16, to nearest, ties to even; none is NaN here."""
    bits = np.ascontiguousarray(values, "<f4").view("<u4")
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2")


def widened(values):
    return values if values.dtype == np.dtype("<f4") else (values.astype("<u4") << 16).view("<f4")


def train(peer, precision=None):
    """With a precision values travel as bfloat16 numbers, and the trainer computes in them."""
    as_sent = narrowed if precision else lambda values: values
    random = np.random.default_rng(1)
    rows = STEPS * BATCH
    inputs = np.zeros((rows, FEATURES + 2), "<f4")
    inputs[:, :FEATURES], inputs[:, FEATURES] = random.normal(size=(rows, FEATURES)), 1
    targets = random.normal(size=(rows, OUTPUTS)).astype("<f4")
    weight = np.zeros((OUTPUTS, FEATURES + 2), "<f4")
    weight[:, : FEATURES + 1] = random.normal(size=(OUTPUTS, FEATURES + 1)) / 3
    hello = b"a peer from the documents"
    peer.send(1, struct.pack("<I", len(hello)) + hello)
    _, fields, _ = peer.receive("welcome")
    print("welcome", json.loads(fields))
    job = description(rows, peer.version) | ({"precision": precision} if precision else {})
    peer.send(2, json.dumps(job).encode())
    _, fields, _ = peer.receive("accepted")
    assert struct.unpack("<3Q", fields) == (1, 0, 0)
    peer.send(3, index(0), [weight])
    peer.receive("stored")
    peer.send(4, index(0))
    _, fields, _ = peer.receive("attached")
    step, resident, window = struct.unpack("<3Q", fields[:24])
    assert (len(fields) > 28) == (peer.version >= 6), fields
    assert step == 0 and resident == rows and window >= 2, (step, resident, window)
    for step in range(STEPS):
        for part in range(BATCH // PART):
            slots = np.arange(step * BATCH + part * PART, step * BATCH + (part + 1) * PART, dtype="<i4")
            empty = np.zeros(0, "<i4")
            peer.send(5, index(step, part), [slots, np.ones(PART, "u1"), as_sent(inputs[slots]), empty, empty])
            _, fields, (outputs,) = peer.receive("outputs")
            assert outputs.dtype == as_sent(inputs).dtype
            assert struct.unpack("<2Q", fields) == (step, part)
            peer.send(6, index(step, part), [as_sent(gradient(widened(outputs), targets[slots]))])
        _, fields, _ = peer.receive("step applied")
        applied, _, rate = struct.unpack("<Qdd", fields)
        assert applied == step and rate == RATE
        peer.send(9, index(step + 1))
        batch = slice(step * BATCH, (step + 1) * BATCH)
        weight = weight - np.float32(RATE) * gradient(inputs[batch] @ weight.T, targets[batch]).T @ inputs[batch]
    peer.send(21)
    peer.receive("finished")
    peer.send(16, index(0))
    _, _, (trained,) = peer.receive("parameters")
    peer.send(19)
    peer.receive("removed")
    return float(np.abs(trained - weight).max() / np.abs(weight).max())


def train_privately(peer):
    """Steps of other sizes than each other, one without rows: each row's gradient clipped, noise from a seed."""
    clip, sigma, seed, sizes = 1.5, 0.8, bytes(range(7, 39)), [PART + 1, 0, 1] + [BATCH] * STEPS
    random = np.random.default_rng(2)
    rows = STEPS * BATCH
    inputs = np.zeros((rows, FEATURES + 2), "<f4")
    inputs[:, :FEATURES], inputs[:, FEATURES] = random.normal(size=(rows, FEATURES)), 1
    targets = random.normal(size=(rows, OUTPUTS)).astype("<f4")
    weight = (random.normal(size=(OUTPUTS, FEATURES + 2)) / 3).astype("<f4")
    job = description(rows, peer.version)
    job["privacy"] = {"clipNorm": clip, "expectedBatch": BATCH, "noiseMultiplier": sigma, "seed": seed.hex()}
    peer.send(2, json.dumps(job).encode())
    peer.receive("accepted")
    peer.send(3, index(0), [weight])
    peer.receive("stored")
    peer.send(4, index(0))
    peer.receive("attached")
    for step, size in enumerate(sizes[:STEPS]):
        peer.send(24, index(step, size))
        slots = np.sort(random.choice(rows, size, replace=False)).astype("<i4")
        total = np.zeros(weight.shape)
        for part, first in enumerate(range(0, size, PART)):
            some = slots[first : first + PART]
            empty = np.zeros(0, "<i4")
            peer.send(5, index(step, part), [some, np.ones(len(some), "u1"), inputs[some], empty, empty])
            _, _, (outputs,) = peer.receive("outputs")
            own = (2 * (outputs - targets[some]) / OUTPUTS).astype("<f4")
            peer.send(6, index(step, part), [own])
            for row, slope in zip(inputs[some], own):
                one = np.outer(slope.astype(float), row)
                total += one * min(1, clip / np.linalg.norm(one))
        peer.receive("step applied")
        drawn = normals(seed, f"noise/job/step {step}/parameter 0", weight.size).reshape(weight.shape)
        weight = (weight - RATE * (total + sigma * clip * drawn) / BATCH).astype("<f4")
    peer.send(21)
    peer.receive("finished")
    peer.send(16, index(0))
    _, _, (trained,) = peer.receive("parameters")
    peer.send(19)
    peer.receive("removed")
    return float(np.abs(trained - weight).max() / np.abs(weight).max())


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        subprocess.run([program, "keygen", folder / "keys"], check=True, stdout=subprocess.DEVNULL)
        trainer_key = [line for line in (folder / "keys" / "trainer.pub").read_text().split("\n") if line and line[0] != "#"][0].encode()
        (folder / "owners.txt").write_text(KEYS[0].decode() + "\n")
        with open(folder / "log", "w") as log:
            trainer = subprocess.Popen(
                [program, "serve", "--keys", folder / "keys", "--authorized", folder / "owners.txt", "--store", folder / "store", "--bind",
                 "tcp://127.0.0.1:0"], stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            endpoint = trainer.stdout.readline().split()[1]
            differences = [train(Peer(endpoint, trainer_key, version)) for version in (6, 5, 4, 3, 2)]
            rounded = train(Peer(endpoint, trainer_key), "bfloat16")
            differences.append(train_privately(Peer(endpoint, trainer_key)))
            stranger = Peer(endpoint, trainer_key, version=9)
            stranger.send(20)
            stranger.version = 6
            _, fields, _ = stranger.receive("refused")
            print("another version is refused:", fields[12:].decode())
        finally:
            trainer.terminate()
            trainer.wait()
    print("largest relative weight difference, by wire versions 6 to 2, and of private steps:", *(f"{difference:.1e}" for difference in differences))
    print(f"in bfloat16, whose unit roundoff is 3.9e-3: {rounded:.1e}")
    return 0 if max(differences) < 1e-5 and 0 < rounded < STEPS * 2**-8 else 1


# Neither text may start with #, which lists of owners take for a comment.
while True:
    KEYS = zmq.curve_keypair()
    if KEYS[0][:1] != b"#":
        break

if __name__ == "__main__":
    sys.exit(main())
