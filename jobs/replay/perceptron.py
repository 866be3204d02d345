"""An MLP job's data, model and starting weights in plaintext PyTorch."""

import h5py
import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn import functional

import datafile

ACTIVATIONS = {
    "relu": functional.relu,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "tanh": torch.tanh,
}


class Perceptron:
    # Muon takes the weight and the bias of the layer that reads the rows, the adapter where there is one, as one matrix.
    joined = True

    def __init__(self, run, job, training_rows, element):
        data, task = job["data"], job["task"]
        with h5py.File(data["file"]) as file:
            rows = datafile.features(file, data["features"])
            self.labels = datafile.labels(file, data, task, element)
        # What the model reads has 32 bits; statistics are of the file's own numbers.
        standardize = data.get("standardize")
        rows = datafile.standardized(rows, training_rows) if standardize else rows.astype(np.float32)
        self.rows, self.element = torch.from_numpy(rows), element
        initial = load_file(run / "initial.safetensors")
        adapters = ["adapter"] if "adapter.weight" in initial else []
        layers = adapters + [f"layers.{layer}" for layer in range(len(initial) // 2 - len(adapters))]
        self.names = [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]
        self.without_activation = {*adapters, layers[-1]}
        self.trained = [initial[name].to(element).requires_grad_() for name in self.names]
        self.activation = ACTIVATIONS[job["model"]["mlp"]["activation"]]

    def parts(self, rows):
        """Numbers of rows to go through the model at once."""
        return rows.split(4096)

    def targets(self, rows):
        return self.labels[rows]

    def outputs(self, rows):
        """Activation between layers, none after an adapter or the last."""
        x = self.rows[rows].to(self.element)
        for index in range(0, len(self.names), 2):
            x = functional.linear(x, *self.trained[index : index + 2])
            if self.names[index].removesuffix(".weight") not in self.without_activation:
                x = self.activation(x)
        return x

    @torch.no_grad()
    def take(self, weights):
        """Weights by the names that a run's model/ has."""
        for name, parameter in zip(self.names, self.trained):
            parameter.copy_(weights[name])

    def weights(self):
        """What the run's model/ holds, by name."""
        return {name: parameter.detach().clone() for name, parameter in zip(self.names, self.trained)}
