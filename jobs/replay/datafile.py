"""Features and labels of a job's HDF5 file, read with h5py as the interface defines them: an own reading, not the owner's code."""

import re

import h5py
import numpy as np
import torch


def split_field(path):
    """`obs[f]` -> (`obs`, `f`); any other path -> (path, None)."""
    match = re.fullmatch(r"(.+)\[(.+)\]", path)
    return match.groups() if match else (path, None)


def column(file, path):
    """A dataset, or a field of a compound dataset, or a column of a group written as a field."""
    where, field = split_field(path)
    node = file[where]
    if field is None:
        return node[()]
    return node[field][()] if isinstance(node, h5py.Group) else node[()][field]


def features(file, path):
    """N x d numbers in the file's own type, from a matrix, a numeric field, or AnnData's compressed sparse rows (both layouts)."""
    where, field = split_field(path)
    node = file[where]
    if isinstance(node, h5py.Group) and field is None:
        kind = node.attrs.get("h5sparse_format", node.attrs.get("encoding-type"))
        kind = kind.decode() if isinstance(kind, bytes) else kind
        if kind not in ("csr", "csr_matrix"):
            raise ValueError(f"{path} is a group of kind {kind}")
        shape = node.attrs["h5sparse_shape"] if "h5sparse_shape" in node.attrs else node.attrs["shape"]
        starts, columns, values = node["indptr"][()], node["indices"][()], node["data"][()]
        dense = np.zeros(tuple(int(extent) for extent in shape), values.dtype)
        for row in range(dense.shape[0]):
            part = slice(starts[row], starts[row + 1])
            np.add.at(dense[row], columns[part], values[part])
        return dense
    values = np.asarray(column(file, path))
    return values.reshape(len(values), -1)


def classes(file, path):
    """Class ids: AnnData categories in their stored order, strings in the order of their bytes, numbers as they are."""
    where, field = split_field(path)
    node = file[where]
    if isinstance(node, h5py.Group) and field is not None:
        node = node[field]
    if isinstance(node, h5py.Group):
        codes, count = node["codes"][()], len(node["categories"])
    else:
        codes = np.asarray(column(file, path)).reshape(-1)
        if codes.dtype.kind in "SOU":
            names = [name if isinstance(name, bytes) else name.encode() for name in codes.tolist()]
            order = {name: index for index, name in enumerate(sorted(set(names)))}
            return np.array([order[name] for name in names]), len(order)
        count = older_categories(file, where, field)
        if count is None:
            return codes.astype(np.int64), int(codes.max()) + 1
    if (codes < 0).any():
        raise ValueError("a row has no category")
    return codes.astype(np.int64), count


def older_categories(file, where, field):
    """How many categories older AnnData layouts name for a column of codes; None for a plain column."""
    if field is not None:
        path = f"uns/{field}_categories"
    else:
        parent, _, name = where.rpartition("/")
        path = f"{parent}/__categories/{name}" if parent else f"__categories/{name}"
    return len(file[path]) if path in file else None


def values(file, path):
    """N x k float32 labels, NaN where missing."""
    labels = np.asarray(column(file, path)).astype(np.float32)
    return labels.reshape(len(labels), -1)


def standardized(matrix, training_rows):
    """Per column by mean and population deviation of the training rows (a deviation of 0 counts as 1), in float64 from the file's own numbers."""
    wide = matrix.astype(np.float64)
    # Around a row of each column: the mean of numbers far from 0 that differ little keeps its digits.
    origin = wide[training_rows[0]]
    wide -= origin
    rows = wide[training_rows]
    mean, deviation = rows.mean(0), rows.std(0)
    deviation[deviation == 0] = 1
    return ((wide - mean) / deviation).astype(np.float32)


def labels(file, data, task, element):
    """A sample's class id, or its k numbers, or for survival its time and whether the event came then."""
    if task == "survival":
        columns = [np.asarray(column(file, data[name])).astype(np.float64).reshape(-1) for name in ("time", "event")]
        return torch.from_numpy(np.stack(columns, 1))
    if task == "classification":
        return torch.from_numpy(classes(file, data["labels"])[0])
    return torch.from_numpy(values(file, data["labels"])).to(element)
