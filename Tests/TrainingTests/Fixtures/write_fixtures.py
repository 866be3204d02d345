"""Writes trajectories.json and losses.json beside this file: what PyTorch computes in float64.

Run once with any PyTorch 2 (numbers are the same to rounding); the tests read the JSON and need no Python.
Muon is written out here from its definition, because torch's own differs in its constants.
"""

import json
import math
import pathlib

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)
here = pathlib.Path(__file__).parent
FEATURES, HIDDEN, OUTPUTS, ROWS, STEPS = 3, 4, 2, 5, 12


def numbers(tensor):
    return tensor.detach().reshape(-1).tolist()


def model(seed):
    generator = torch.Generator().manual_seed(seed)
    layers = [torch.nn.Linear(FEATURES, HIDDEN), torch.nn.Linear(HIDDEN, OUTPUTS)]
    for layer in layers:
        for parameter in layer.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.7
    return layers


def newton_schulz(u):
    x = u / (u.norm() + 1e-7)
    if u.shape[0] > u.shape[1]:
        x = x.T
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if u.shape[0] > u.shape[1] else x


class Muon:
    """[W | b] of the first layer counts as one matrix; the second layer's bias is a vector."""

    def __init__(self, layers, momentum, weight_decay):
        self.layers, self.mu, self.decay, self.buffers = layers, momentum, weight_decay, {}

    def direction(self, name, g):
        buffer = self.mu * self.buffers.get(name, torch.zeros_like(g)) + g
        self.buffers[name] = buffer
        return g + self.mu * buffer

    def matrix(self, name, w, g, lr):
        x = newton_schulz(self.direction(name, g))
        return w - lr * (0.2 * math.sqrt(max(w.shape)) * x + self.decay * w)

    def step(self, lr):
        first, second = self.layers
        with torch.no_grad():
            joined = torch.cat([first.weight, first.bias[:, None]], 1)
            gradient = torch.cat([first.weight.grad, first.bias.grad[:, None]], 1)
            joined = self.matrix("0", joined, gradient, lr)
            first.weight.copy_(joined[:, :-1])
            first.bias.copy_(joined[:, -1])
            second.weight.copy_(self.matrix("1", second.weight, second.weight.grad, lr))
            u = self.direction("b", second.bias.grad)
            second.bias.copy_(second.bias - lr * (u + self.decay * second.bias))


def rate(step, lr, warmup, decay):
    w = math.ceil(warmup * STEPS)
    if step < w:
        return lr * (step + 1) / w
    if decay == "linear":
        return lr * (STEPS - step) / (STEPS - w)
    if decay == "cosine":
        return lr * 0.5 * (1 + math.cos(math.pi * (step - w) / (STEPS - w)))
    return lr


def trajectory(name, kind, lr, momentum=0.0, nesterov=False, weight_decay=0.0, clip_norm=None, warmup=0.0, decay="none",
               activation="tanh"):
    layers = model(seed=5)
    parameters = [p for layer in layers for p in layer.parameters()]
    initial = [numbers(p) for p in parameters]
    if kind == "sgd":
        optimizer = torch.optim.SGD(parameters, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)
    elif kind == "adamw":
        optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay)
    else:
        optimizer = Muon(layers, momentum, weight_decay)
    functions = {"relu": F.relu, "gelu": F.gelu, "silu": F.silu, "tanh": torch.tanh}
    losses, norms = [], []
    for step in range(STEPS):
        x, y = inputs[step], targets[step]
        loss = F.mse_loss(layers[1](functions[activation](layers[0](x))), y)
        for p in parameters:
            p.grad = None
        loss.backward()
        norm = math.sqrt(sum(float((p.grad ** 2).sum()) for p in parameters))
        losses.append(float(loss.detach()))
        norms.append(norm)
        if clip_norm is not None:
            coefficient = min(1.0, clip_norm / (norm + 1e-6))
            for p in parameters:
                p.grad.mul_(coefficient)
        current = rate(step, lr, warmup, decay)
        if kind == "muon":
            optimizer.step(current)
        else:
            optimizer.param_groups[0]["lr"] = current
            optimizer.step()
    return {
        "name": name, "kind": kind, "learningRate": lr, "momentum": momentum, "nesterov": nesterov,
        "weightDecay": weight_decay, "clipNorm": clip_norm, "warmup": warmup, "decay": decay, "activation": activation,
        "initial": initial, "final": [numbers(p) for p in parameters], "losses": losses, "norms": norms,
    }


generator = torch.Generator().manual_seed(11)
inputs = torch.randn(STEPS, ROWS, FEATURES, generator=generator)
targets = torch.randn(STEPS, ROWS, OUTPUTS, generator=generator)
runs = [
    trajectory("sgd", "sgd", 0.1, activation="relu"),
    trajectory("sgd, weight decay, linear", "sgd", 0.1, weight_decay=0.05, warmup=0.2, decay="linear", activation="gelu"),
    trajectory("sgd, momentum", "sgd", 0.05, momentum=0.9, activation="silu"),
    trajectory("sgd, nesterov, decay, clipping, cosine", "sgd", 0.05, momentum=0.9, nesterov=True, weight_decay=0.01,
               clip_norm=0.5, warmup=0.1, decay="cosine"),
    trajectory("adamw", "adamw", 0.02, weight_decay=0.0),
    trajectory("adamw, decay, clipping, linear", "adamw", 0.02, weight_decay=0.1, clip_norm=0.3, warmup=0.25,
               decay="linear"),
    trajectory("muon", "muon", 0.02, momentum=0.95),
    trajectory("muon, decay, clipping, cosine", "muon", 0.05, momentum=0.9, weight_decay=0.1, clip_norm=0.5, warmup=0.1,
               decay="cosine", activation="gelu"),
]
with open(here / "trajectories.json", "w") as file:
    json.dump({"features": FEATURES, "hidden": HIDDEN, "outputs": OUTPUTS, "rows": ROWS, "steps": STEPS,
               "inputs": [numbers(x) for x in inputs], "targets": [numbers(y) for y in targets], "runs": runs}, file)


def loss_case(task, outputs, wanted, mask=None):
    outputs = outputs.clone().requires_grad_(True)
    if task == "classification":
        total = F.cross_entropy(outputs, wanted, reduction="sum")
        normalizer = len(wanted)
    else:
        function = F.binary_cross_entropy_with_logits if task == "multilabel" else F.mse_loss
        total = function(outputs[mask], wanted[mask], reduction="sum")
        normalizer = int(mask.sum())
    (total / normalizer).backward()
    values = [None if mask is not None and not m else v
              for v, m in zip(wanted.reshape(-1).tolist(), (mask if mask is not None else wanted).reshape(-1).tolist())]
    if task == "classification":
        values = wanted.tolist()
    return {"task": task, "rows": outputs.shape[0], "columns": outputs.shape[1], "outputs": numbers(outputs),
            "targets": values, "normalizer": normalizer, "sum": float(total.detach()), "gradient": numbers(outputs.grad)}


generator = torch.Generator().manual_seed(3)
outputs = torch.randn(6, 21, generator=generator) * 4
outputs[0, 0], outputs[1, 3], outputs[2, 5] = 80, -90, 700
mask = torch.rand(6, 21, generator=generator) > 0.3
labels = torch.randint(0, 21, (6,), generator=generator)
cases = [
    loss_case("classification", outputs, labels),
    loss_case("classification", outputs[:, :3], torch.tensor([0, 1, 2, 0, 1, 2])),
    loss_case("multilabel", outputs, (torch.rand(6, 21, generator=generator) > 0.5).double(), mask),
    loss_case("regression", outputs, torch.randn(6, 21, generator=generator), mask),
]
with open(here / "losses.json", "w") as file:
    json.dump(cases, file)
