"""The updates that docs/job-reference.md defines, in plaintext PyTorch: schedule, clipping, SGD, AdamW, Muon."""

import math

import torch


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
    """Muon as docs/job-reference.md writes it out.

    `joined`: whether the first two parameters are a weight and a bias that count as one matrix [W | b], as in an MLP's first layer.
    """

    def __init__(self, parameters, momentum, weight_decay, joined):
        self.parameters, self.momentum, self.weight_decay, self.joined = parameters, momentum, weight_decay, joined
        self.buffers = [torch.zeros_like(p) for p in parameters]

    @torch.no_grad()
    def step(self, rate):
        updates = []
        for parameter, buffer in zip(self.parameters, self.buffers):
            buffer.mul_(self.momentum).add_(parameter.grad)
            updates.append(parameter.grad + self.momentum * buffer)
        directions = []
        if self.joined:
            first = self.orthogonal(torch.cat([updates[0], updates[1][:, None]], 1))
            directions = [first[:, :-1], first[:, -1]]
        for update in updates[len(directions) :]:
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


def optimizer(settings, parameters, joined=False):
    name, decay = settings["name"], settings.get("weight_decay", 0.0)
    if name == "sgd":
        return TorchOptimizer(
            torch.optim.SGD(
                parameters, lr=1.0, momentum=settings["momentum"], weight_decay=decay,
                nesterov=settings.get("nesterov", False)))
    if name == "adamw":
        return TorchOptimizer(
            torch.optim.AdamW(parameters, lr=1.0, betas=(0.9, 0.999), eps=1e-8, weight_decay=decay))
    if name == "muon":
        return Muon(parameters, settings["momentum"], decay, joined)
    raise ValueError(f"no replay of optimizer.name: {name}")
