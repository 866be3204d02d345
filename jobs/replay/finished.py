"""The weights that a finished run left in model/."""

import json
import re

from safetensors.torch import load_file


class Unlike(Exception):
    """A run's files are not what they should be compared with: other tensors, other shapes, another number of steps."""


class Noised(Exception):
    """A run on rows with secret noise, which only its owner can draw again."""


def refuse_noise(job):
    """For a comparison that has only the clean rows, and would compare another training's weights or outputs."""
    sigma = ((job.get("masking") or {}).get("noise") or {}).get("sigma")
    if sigma is not None:
        raise Noised(
            f"masking.noise (sigma {sigma}): every row was sent with secret noise that stands in no file of the run, so this cannot be "
            "repeated from outside; nothing was compared. `encryptor verify` compares masked and plaintext training on the same noised rows")


def refuse_masked_privacy(job):
    """For a replay, which has no keys: the trainer's noise is in the coordinates of the masks."""
    if job.get("privacy") and (job["masking"]["strength"] != "none" or "mlp" not in job["model"]):
        raise Noised(
            "privacy: the trainer has added its noise to masked weights, and a replay has no keys to unmask it with; a perceptron's run with "
            "masking.strength none can be repeated. Nothing was compared. `encryptor verify` compares masked and plaintext clipping")


def weights(folder):
    """Of an MLP or a Hugging Face directory, one file or several with an index, or of a PEFT directory; None when there is none."""
    adapter, single, index = (
        folder / name for name in ("adapter_model.safetensors", "model.safetensors", "model.safetensors.index.json"))
    if adapter.exists():
        return {plain(name): tensor for name, tensor in load_file(adapter).items()}
    if index.exists():
        files = sorted(set(json.loads(index.read_text())["weight_map"].values()))
        return {name: tensor for file in files for name, tensor in load_file(folder / file).items()}
    return load_file(single) if single.exists() else None


def plain(name):
    """PEFT's name without what it wraps around it."""
    return re.sub(r"\.(default|modules_to_save)(?=\.)", "", name.removeprefix("base_model.model."))


def kept_epoch(run):
    """The last epoch that history.jsonl marks as kept."""
    kept = None
    for line in (run / "history.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if entry["kind"] == "evaluation" and entry.get("kept"):
            kept = entry["epoch"]
    return kept
