"""The losses and metrics that docs/job-reference.md defines, in plaintext PyTorch.

A row is a sample, or for per-token tasks a counted token; targets are class ids, or numbers with NaN where there is none, or for survival
(time, 1 where the event came then and 0 where the row is censored).
"""

import numpy as np
import torch
from torch.nn import functional

PER_TOKEN = ("token-classification", "causal-lm")
CLASSES = ("classification", *PER_TOKEN)


def count(task, targets):
    """What the loss of these targets is a mean over: rows, or observed entries; at least 1."""
    return max(1, len(targets) if task in CLASSES or task == "survival" else int((~torch.isnan(targets)).sum()))


def loss_sum(task, outputs, targets, class_weights=None):
    if task in CLASSES:
        return functional.cross_entropy(outputs, targets, weight=class_weights, reduction="sum")
    if task == "survival":
        return partial_likelihood(outputs[:, 0], *targets.T)
    observed = ~torch.isnan(targets)
    wanted = torch.where(observed, targets, torch.zeros_like(targets))
    if task == "multilabel":
        entries = functional.binary_cross_entropy_with_logits(outputs, wanted, reduction="none")
    else:
        entries = (outputs - wanted) ** 2
    return (entries * observed).sum()


def partial_likelihood(risks, times, events):
    """Cox's negative log partial likelihood of one batch, ties as Breslow: pair by pair."""
    at_risk = times[None, :] >= times[:, None]
    sums = torch.where(at_risk, risks[None, :], -torch.inf).logsumexp(1)
    return ((sums - risks) * events).sum()


def concordance(risks, times, events):
    """Harrell's: pair by pair; at one time a censored row counts as the later one, and two events are not compared."""
    first, second = np.arange(len(risks))[:, None], np.arange(len(risks))[None, :]
    later = (times[first] < times[second]) | (times[first] == times[second]) & (events[second] == 0)
    pairs = (events[first] == 1) & later
    right = (risks[first] > risks[second]) + 0.5 * (risks[first] == risks[second])
    return float((right * pairs).sum() / pairs.sum()) if pairs.any() else float("nan")


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
    """(name, value, whether higher is better): accuracy, mean ROC-AUC over tasks with both classes, RMSE, concordance."""
    if task in CLASSES:
        return "accuracy", float((outputs.argmax(1) == targets).double().mean()), True
    scores, labels = outputs.numpy(), targets.numpy()
    if task == "survival":
        return "concordance", concordance(scores[:, 0], *labels.T), True
    observed = ~np.isnan(labels)
    if task == "multilabel":
        areas = [ranking_area(scores[observed[:, k], k], labels[observed[:, k], k]) for k in range(labels.shape[1])]
        areas = [area for area in areas if area is not None]
        return "roc_auc", float(np.mean(areas)) if areas else float("nan"), True
    errors = (scores.astype(np.float64) - labels)[observed]
    return "rmse", float(np.sqrt((errors**2).mean())), False
