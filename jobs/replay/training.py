"""The training that interface.md defines, in plaintext PyTorch: losses, schedule, clipping, optimizers, metrics."""

import math

import numpy as np
import torch
from torch.nn import functional

ACTIVATIONS = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "tanh": torch.tanh,
}


def forward(parameters, activation, x):
    """parameters: [weight, bias] a layer, weights out x in; activation between layers, none after the last."""
    layers = len(parameters) // 2
    for index in range(layers):
        x = functional.linear(x, parameters[2 * index], parameters[2 * index + 1])
        if index + 1 < layers:
            x = ACTIVATIONS[activation](x)
    return x


def loss(task, outputs, targets):
    """Mean over rows (classification), or over the observed entries of the batch."""
    if task == "classification":
        return functional.cross_entropy(outputs, targets)
    observed = ~torch.isnan(targets)
    count = max(1, int(observed.sum()))
    wanted = torch.where(observed, targets, torch.zeros_like(targets))
    if task == "multilabel":
        entries = functional.binary_cross_entropy_with_logits(outputs, wanted, reduction="none")
    else:
        entries = (outputs - wanted) ** 2
    return (entries * observed).sum() / count


def learning_rate(job, step, steps):
    peak = job["optimizer"]["lr"]
    warmup = math.ceil(job["schedule"]["warmup"] * steps)
    decay = job["schedule"]["decay"]
    if step < warmup:
        return peak * (step + 1) / warmup
    if decay == "linear":
        return peak * (steps - step) / (steps - warmup)
    if decay == "cosine":
        return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))
    return peak


def clip(parameters, limit):
    """Scales all gradients together by min(1, limit / (norm + 1e-6))."""
    if limit is None:
        return
    norm = math.sqrt(sum(float((p.grad.double() ** 2).sum()) for p in parameters))
    coefficient = min(1.0, limit / (norm + 1e-6))
    for parameter in parameters:
        parameter.grad.mul_(coefficient)


class Muon:
    """Muon as interface.md writes it out; the first layer counts [W | b] as one matrix."""

    def __init__(self, parameters, momentum, weight_decay):
        self.parameters, self.momentum, self.weight_decay = parameters, momentum, weight_decay
        self.buffers = [torch.zeros_like(p) for p in parameters]

    @torch.no_grad()
    def step(self, rate):
        updates = []
        for parameter, buffer in zip(self.parameters, self.buffers):
            buffer.mul_(self.momentum).add_(parameter.grad)
            updates.append(parameter.grad + self.momentum * buffer)
        first = self.orthogonal(torch.cat([updates[0], updates[1][:, None]], 1))
        directions = [first[:, :-1], first[:, -1]]
        for update in updates[2:]:
            directions.append(self.orthogonal(update) if update.dim() == 2 else update)
        for parameter, direction in zip(self.parameters, directions):
            parameter.sub_(rate * (direction + self.weight_decay * parameter))

    @staticmethod
    def orthogonal(update):
        rows, columns = update.shape
        x = update / (update.norm() + 1e-7)
        if rows > columns:
            x = x.T
        for _ in range(5):
            product = x @ x.T
            x = 3.4445 * x + (-4.7750 * product + 2.0315 * product @ product) @ x
        if rows > columns:
            x = x.T
        return 0.2 * math.sqrt(max(rows, columns)) * x


class TorchOptimizer:
    """torch.optim's own SGD or AdamW under the job's learning rate."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    def step(self, rate):
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()


def optimizer(settings, parameters):
    name, decay = settings["name"], settings.get("weight_decay", 0.0)
    if name == "sgd":
        return TorchOptimizer(
            torch.optim.SGD(
                parameters, lr=1.0, momentum=settings["momentum"], weight_decay=decay,
                nesterov=settings.get("nesterov", False)))
    if name == "adamw":
        return TorchOptimizer(
            torch.optim.AdamW(parameters, lr=1.0, betas=(0.9, 0.999), eps=1e-8, weight_decay=decay))
    return Muon(parameters, settings["momentum"], decay)


def ranking_area(scores, labels):
    """Area under the ROC curve from mid-ranks; None unless both classes are present."""
    positive = labels > 0.5
    hits, misses = int(positive.sum()), int((~positive).sum())
    if hits == 0 or misses == 0:
        return None
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return (ranks[positive].sum() - hits * (hits + 1) / 2) / (hits * misses)


def metric(task, outputs, targets):
    """(name, value, whether higher is better): accuracy, mean ROC-AUC over tasks with both classes, RMSE."""
    if task == "classification":
        return "accuracy", float((outputs.argmax(1) == targets).double().mean()), True
    scores, labels = outputs.numpy(), targets.numpy()
    observed = ~np.isnan(labels)
    if task == "multilabel":
        areas = [ranking_area(scores[observed[:, k], k], labels[observed[:, k], k]) for k in range(labels.shape[1])]
        areas = [area for area in areas if area is not None]
        return "roc_auc", float(np.mean(areas)) if areas else float("nan"), True
    errors = (scores.astype(np.float64) - labels)[observed]
    return "rmse", float(np.sqrt((errors**2).mean())), False
