"""Token columns of a job's HDF5 file, read with h5py: an own reading, not the owner's code."""

import h5py
import numpy as np
import torch

import datafile
import objectives


class Tokens:
    """ids, mask (real tokens), types, columns, positions: [rows, length], every row's real tokens moved to its front, as a padded batch has
    them.

    A token's position is its column in the file, until `count_positions`.
    """

    def __init__(self, job, element):
        data, task = job["data"], job["task"]
        with h5py.File(data["file"]) as file:
            ids = np.asarray(datafile.column(file, data["tokens"])).astype(np.int64)
            mask = np.asarray(datafile.column(file, data["mask"])) != 0 if data.get("mask") else np.ones(ids.shape, bool)
            types = np.asarray(datafile.column(file, data["types"])).astype(np.int64) if data.get("types") else np.zeros_like(ids)
            front = np.argsort(~mask, axis=1, kind="stable")
            self.ids, self.mask, self.types = (
                torch.from_numpy(np.take_along_axis(values, front, 1)) for values in (ids, mask, types))
            # Padding is masked, so its position may be any that the model has.
            self.positions = self.columns = torch.from_numpy(front) * self.mask
            self.front, self.stored = front, ids
            self.labels = None
            if task == "token-classification" or task == "causal-lm" and data.get("labels"):
                own = np.asarray(datafile.column(file, data["labels"])).astype(np.int64)
                self.labels = torch.from_numpy(np.take_along_axis(own, front, 1))
            elif task != "causal-lm":
                self.labels = datafile.labels(file, data, task, element)
        self.task = task
        self.lengths = self.mask.sum(1)

    def count_positions(self, padding):
        """As RoBERTa does (`create_position_ids_from_input_ids`): from the padding token's id on, among the tokens that are another."""
        counts = self.stored != padding
        positions = np.where(counts, counts.cumsum(1), 0) + padding
        self.positions = torch.from_numpy(np.take_along_axis(positions, self.front, 1)) * self.mask

    def batch(self, rows):
        """The model's inputs for some rows, cut to the longest of them."""
        longest = int(self.lengths[rows].max())
        return {
            "input_ids": self.ids[rows, :longest], "attention_mask": self.mask[rows, :longest].long(),
            "token_type_ids": self.types[rows, :longest], "position_ids": self.positions[rows, :longest]}

    def counted(self, rows):
        """Which outputs [rows, longest] a per-token loss counts."""
        mask = self.mask[rows, : int(self.lengths[rows].max())]
        if self.task == "causal-lm":
            # The next token, at every token but the last, and where labels are given only what they do not leave out.
            counts = mask if self.labels is None else mask & (self.labels[rows, : mask.shape[1]] >= 0)
            return torch.cat([counts[:, 1:], torch.zeros_like(mask[:, :1])], 1)
        return mask & (self.labels[rows, : mask.shape[1]] >= 0)

    def targets(self, rows):
        """A sample's label, or for per-token tasks the targets of all counted tokens in a row."""
        if self.task not in objectives.PER_TOKEN:
            return self.labels[rows]
        counted = self.counted(rows)
        if self.task == "causal-lm":
            following = self.ids if self.labels is None else self.labels
            return following[rows].roll(-1, 1)[:, : counted.shape[1]][counted]
        return self.labels[rows, : counted.shape[1]][counted]
