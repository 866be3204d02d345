"""A run again in plaintext PyTorch: the batches of plan.h5, step by step, on the model that the job names."""

import json

import h5py
import numpy as np
import torch
import yaml

import finished
import objectives
import optimizers
from noise import JobNoise


class Repetition:
    def __init__(self, run, element):
        self.run = run
        self.job = yaml.safe_load((run / "job.resolved.yaml").read_text())
        finished.refuse_noise(self.job)
        finished.refuse_masked_privacy(self.job)
        # Runs of before it was stated are of float32.
        self.precision = self.job["train"].get("precision", "float32")
        self.privacy = json.loads((run / "privacy.json").read_text()) if self.job.get("privacy") else None
        self.noise = JobNoise(run) if self.privacy else None
        with h5py.File(run / "plan.h5") as plan:
            self.batches = plan["batches"][()]
            training, self.validation = plan["split/train"][()], plan["split/validation"][()]
        if "mlp" in self.job["model"]:
            from perceptron import Perceptron as Model
        else:
            # Brings in the transformers package, which takes seconds.
            from transformer import Transformer as Model
        self.model = Model(run, self.job, training, element)
        self.losses = []

    def train(self):
        """Every step of the plan; weights and validation metric after each epoch."""
        steps, epochs = len(self.batches), self.job["train"]["epochs"]
        settings, trained = self.job["optimizer"], self.model.trained
        optimizer = optimizers.optimizer(settings, trained, self.model.joined)
        ends = []
        for step, batch in enumerate(self.batches):
            for parameter in trained:
                parameter.grad = None
            rows = torch.from_numpy(batch[batch >= 0])
            self.losses.append(self.private_backward(step, rows) if self.privacy else self.backward(rows))
            limit = settings.get("clip_norm")
            optimizers.clip(trained, None if limit == "none" else limit)
            optimizer.step(optimizers.learning_rate(self.job, step, steps))
            if (step + 1) % (steps // epochs) == 0:
                ends.append(self.end_of_epoch())
        return ends

    def backward(self, rows):
        """The mean loss of these rows; its gradient is added to the parameters'."""
        task, loss = self.job["task"], 0.0
        count = objectives.count(task, self.model.targets(rows))
        # The rows of a batch are compared with each other, those of batches that a step accumulates are not.
        parts = rows.split(self.job["train"]["batch"]) if task == "survival" else self.model.parts(rows)
        for part in parts:
            outputs = torch.cat([self.model.outputs(some) for some in self.model.parts(part)])
            partial = objectives.loss_sum(task, outputs, self.model.targets(part)) / count
            partial.backward()
            loss += float(partial.detach())
        return loss

    def private_backward(self, step, rows):
        """Gradients row by row, each clipped, and the noise of the step (Abadi et al., 2016, algorithm 1); the loss as without privacy."""
        task, trained = self.job["task"], self.model.trained
        sums, loss = [torch.zeros_like(parameter) for parameter in trained], 0.0
        for row in rows.split(1):
            targets = self.model.targets(row)
            own = objectives.loss_sum(task, self.model.outputs(row), targets)
            gradients = torch.autograd.grad(own / objectives.count(task, targets), trained)
            norm = float(sum(gradient.double().square().sum() for gradient in gradients).sqrt())
            for total, gradient in zip(sums, gradients):
                total.add_(gradient, alpha=min(1.0, self.privacy["clip_norm"] / max(norm, 1e-300)))
            loss += float(own.detach())
        deviation = self.privacy["noise_multiplier"] * self.privacy["clip_norm"]
        for parameter, total, drawn in zip(trained, sums, self.drawn(step)):
            parameter.grad = (total + deviation * torch.from_numpy(drawn).to(total)) / self.privacy["expected_batch"]
        return loss / (objectives.count(task, self.model.targets(rows)) if len(rows) else 1)

    def drawn(self, step):
        """One standard normal number for each entry of a perceptron's parameters. The trainer has the first weight and its bias as
        [W | b | padding], and a place for each parameter in this order."""
        weight, bias, *rest = [tuple(parameter.shape) for parameter in self.model.trained]
        columns = weight[1] + 1 + self.job["masking"]["padding"]
        first = self.noise.of_step(step, 0, weight[0] * columns).reshape(weight[0], columns)
        others = [self.noise.of_step(step, place, int(np.prod(shape))).reshape(shape) for place, shape in enumerate(rest, 1)]
        return [first[:, : weight[1]].copy(), first[:, weight[1]].copy(), *others]

    @torch.no_grad()
    def end_of_epoch(self):
        name, value, higher = None, None, True
        if len(self.validation):
            rows = torch.from_numpy(self.validation)
            outputs = torch.cat([self.model.outputs(part) for part in self.model.parts(rows)])
            name, value, higher = objectives.metric(self.job["task"], outputs, self.model.targets(rows))
        return {"name": name, "metric": value, "higher": higher, "weights": self.model.weights()}

    def choose(self, epochs, kept):
        """The epoch whose weights count, and a remark where rounding alone made this differ from what the run kept."""
        if self.job["train"]["keep"] == "last":
            return len(epochs) - 1, None
        best = 0
        for index, epoch in enumerate(epochs):
            better = epoch["metric"] > epochs[best]["metric"] if epoch["higher"] else epoch["metric"] < epochs[best]["metric"]
            if better:
                best = index
        if kept is None or kept == best or kept >= len(epochs):
            return best, None
        # Near ties turn on the last digit: two pairs of a ranking exchanged, or one row at the boundary of two classes.
        gap = abs(epochs[kept]["metric"] - epochs[best]["metric"])
        allowed = 1.5 / len(self.validation) if self.job["task"] == "classification" else 1e-4 * abs(epochs[best]["metric"])
        if gap <= allowed:
            return kept, f"the run kept epoch {kept}, best here is {best} by {gap:.2g}: a tie within rounding"
        return best, f"the run kept epoch {kept}, best here is {best} by {gap:.2g}"

    def loss_difference(self):
        """The largest relative difference between the run's recorded losses and these; None when it recorded another number."""
        recorded = [
            line["loss"] for line in map(json.loads, (self.run / "history.jsonl").read_text().splitlines()) if line["kind"] == "step"]
        if len(recorded) != len(self.losses):
            return None
        return float(np.abs(np.subtract(recorded, self.losses)).max() / np.abs(self.losses).max())
