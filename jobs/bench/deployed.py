"""Deployments on this machine for measurements: clients with keys of their own, models to host, and what their answers should be."""

import json
import subprocess
import urllib.request

import h5py
import numpy as np
from safetensors.numpy import load_file

from local import BINARIES, ROOT, LocalTrainer, environment, run_owner

MLP = """name: mlp
data: {{file: {file}, features: x, labels: y, split: {{validation: 0.2, seed: 7}}, standardize: {standardize}}}
task: classification
model:
  mlp: {{hidden: [512, 128], activation: relu}}
masking: {{strength: rotation, padding: 1}}
loss: {{where: owner}}
optimizer: {{name: sgd, lr: 0.05, momentum: 0.9}}
train: {{epochs: {epochs}, batch: 64, micro_batch: 16, seed: 1, keep: last}}
"""
MINILM = """name: minilm
data: {{file: {file}, tokens: input_ids, mask: attention_mask, types: token_type_ids, labels: y, split: {{validation: 0}}}}
task: classification
model: {{huggingface: {model}, train: {train}}}
masking: {{strength: rotation, base_model: public}}
loss: {{where: owner}}
optimizer: {{name: sgd, lr: 0.01}}
train: {{epochs: {epochs}, batch: 32, micro_batch: 16, seed: 1, keep: last}}
"""


class MeasuredTrainer(LocalTrainer):
    """A trainer whose metrics can be read."""

    def __init__(self, keys, store, port=0, options=()):
        super().__init__(keys, store, port, [*options, "--metrics", "127.0.0.1:0"])

    def metrics(self):
        """Numbers of the metrics page without labels, by name."""
        address = None
        for line in open(f"{self.store}.log", errors="replace"):
            if "serving metrics" in line:
                address = line[line.index("address=") :].split()[0].removeprefix("address=")
        text = urllib.request.urlopen(f"http://{address}/metrics", timeout=10).read().decode()
        lines = [line.split() for line in text.splitlines() if line and line[0] != "#" and "{" not in line]
        return {name: float(value) for name, value in lines}


def encryptor(*arguments, **more):
    """Runs it to its end; what it printed. RuntimeError with the last line of its errors."""
    done = subprocess.run([BINARIES / "encryptor", *map(str, arguments)], capture_output=True, text=True, env=environment(), **more)
    if done.returncode != 0:
        raise RuntimeError(f"encryptor {arguments[0]} exited with {done.returncode}: {' '.join(done.stderr.strip().splitlines()[-2:])}")
    return done.stdout


def make_clients(folder, count):
    """Keys of so many clients; their names."""
    names = [f"client-{number:04}" for number in range(count)]
    folder.mkdir(exist_ok=True)
    for name in names:
        if not (folder / name / "owner.key").exists():
            encryptor("keygen", folder / name)
    return names


def deploy(model, keys, endpoint, out, names=(), options=()):
    """Deploys a run or a model's directory for clients whose keys are in KEYS/clients."""
    clients = [part for name in names for part in ("--client", f"{name}={keys}/clients/{name}/owner.pub")]
    return encryptor(
        "deploy", model, "--keys", keys / "owner", "--trainer", endpoint, "--trainer-key", keys / "trainer" / "trainer.pub", "--out", out,
        *clients, *options)


def query_command(deployment, name, keys, data, out, *options):
    return [str(part) for part in [
        BINARIES / "encryptor", "query", deployment / "clients" / name, "--keys", keys / "clients" / name, "--data", data, "--out", out,
        "--threads", "1", *options]]


def write_rows(path, rows, columns, seed):
    """Rows of ten overlapping clusters, with labels."""
    numbers = np.random.default_rng(seed)
    labels = numbers.integers(0, 10, rows)
    centres = np.random.default_rng(5).normal(size=(10, columns))
    values = (centres[labels] + 2 * numbers.normal(size=(rows, columns))).astype(np.float32)
    with h5py.File(path, "w") as file:
        file["x"], file["y"] = values, labels
    return values


def write_tokens(path, samples, tokens=128, vocabulary=30522, seed=5):
    """Random tokens, no padding: only their number counts."""
    numbers = np.random.default_rng(seed)
    with h5py.File(path, "w") as file:
        file["input_ids"] = numbers.integers(1000, vocabulary, (samples, tokens)).astype(np.int32)
        file["attention_mask"] = np.ones((samples, tokens), np.int32)
        file["token_type_ids"] = np.zeros((samples, tokens), np.int32)
        file["y"] = np.arange(samples) % 4


def train_mlp(folder, endpoint, data, epochs=1, standardize="false"):
    """A finished run on rows of `write_rows`."""
    job = folder / "mlp.yaml"
    job.write_text(MLP.format(file=data, epochs=epochs, standardize=standardize))
    run_owner(job, folder / "mlp", folder, endpoint)
    return folder / "mlp"


def train_minilm(folder, endpoint, data):
    """A finished run with a head on the MiniLM encoder; what it has learnt is of no matter."""
    job = folder / "minilm.yaml"
    job.write_text(MINILM.format(file=data, model=ROOT / ".cache" / "minilm", train="head", epochs=1))
    run_owner(job, folder / "minilm", folder, endpoint)
    return folder / "minilm"


def perceptron_outputs(run, rows):
    """Of the written model, in double precision."""
    tensors = load_file(run / "model" / "model.safetensors")
    last = len(tensors) // 2 - 1
    values = rows.astype(np.float64)
    for layer in range(last + 1):
        values = values @ tensors[f"layers.{layer}.weight"].astype(np.float64).T + tensors[f"layers.{layer}.bias"]
        values = values if layer == last else np.maximum(values, 0)
    return values


def difference(path, expected):
    """max|a-b| / max|b| over the outputs in a file of answers; infinite for another shape or a row without an answer."""
    with h5py.File(path) as file:
        found = file["outputs"][()]
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def status(keys, endpoint):
    """Of all deployments of the owner, as JSON."""
    return json.loads(
        encryptor("deployments", "--keys", keys / "owner", "--trainer-key", keys / "trainer" / "trainer.pub", "--trainer", endpoint, "--json"))
