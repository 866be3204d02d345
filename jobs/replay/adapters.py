"""Low-rank adapters (LoRA) written out by hand: y = x Wᵀ + b + alpha/rank · (x Aᵀ) Bᵀ."""

from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn
from torch.nn import functional

# The norm whose gain is folded into the layers that read it, by the layer's last name.
NORMS = {
    "q_proj": "input_layernorm", "k_proj": "input_layernorm", "v_proj": "input_layernorm",
    "gate_proj": "post_attention_layernorm", "up_proj": "post_attention_layernorm",
}


class Adapted(nn.Linear):
    """A linear layer with an adapter beside it; its parameters are named as PEFT names them."""

    def __init__(self, layer, rank, scale):
        super().__init__(layer.in_features, layer.out_features, layer.bias is not None)
        self.lora_A = nn.Linear(layer.in_features, rank, bias=False)
        self.lora_B = nn.Linear(rank, layer.out_features, bias=False)
        self.scale = scale

    def forward(self, x):
        return functional.linear(x, self.weight, self.bias) + self.scale * self.lora_B(self.lora_A(x))


def insert(model, settings):
    """Not into layers of a fresh head, which are trained whole: peft leaves those out, too."""
    for name, layer in list(model.named_modules()):
        if name.startswith(("classifier", "pre_classifier", "score")):
            continue
        if isinstance(layer, nn.Linear) and name.split(".")[-1] in settings["targets"]:
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, Adapted(layer, settings["rank"], settings["alpha"] / settings["rank"]))


def exported(weights, base, family):
    """Adapters and a fresh classifier as PEFT's directory refers to them: to the base model as it was.

    The job trained a Llama whose norm gains are folded into the layers that read them: W diag(g) x = W' x. The base still has
    its gains, so what reads a norm there is A' diag(g)⁻¹.
    """
    found = {
        name: tensor for name, tensor in weights.items()
        if ".lora_" in name or name.startswith(("classifier.", "pre_classifier.", "score."))}
    if family != "llama":
        return found
    for name in found:
        norm = gain_before(name)
        if norm:
            found[name] = found[name] / read_gain(Path(base), norm).to(found[name].dtype)
    return found


def gain_before(name):
    if name == "score.weight":
        return "model.norm.weight"
    path = name.split(".")
    if path[-2] != "lora_A" or path[-3] not in NORMS:
        return None
    return ".".join([*path[:3], NORMS[path[-3]], "weight"])


def read_gain(base, name):
    for file in sorted(base.glob("*.safetensors")):
        with safe_open(file, "pt") as tensors:
            # A checkpoint of the bare decoder leaves the first name out.
            for known in (name, name.removeprefix("model.")):
                if known in tensors.keys():
                    return tensors.get_tensor(known).float()
    raise SystemExit(f"{base}: no tensor {name}")
