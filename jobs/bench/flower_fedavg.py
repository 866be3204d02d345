#!/usr/bin/env python3
"""The FedAvg of jobs/federation/tcga-brca.yaml in Flower's simulation, for `federation.py --flower PYTHON`: in the clear, in numpy.

A linear Cox model of the columns standardised over all regions' training rows, five rounds of 100 local updates of 8 rows at 0.1, equal weights.
Needs `pip install "flwr[simulation]" h5py`. Prints the concordance over all held-out rows.
"""

import sys
from pathlib import Path

import h5py
import numpy as np
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

ROUNDS, UPDATES, BATCH, RATE = 5, 100, 8, 0.1
PLACE = Path(sys.argv[1])


def regions():
    """Rows of 39 numbers, times, events and whether a row is held out, of each region."""
    found = []
    for path in sorted(PLACE.glob("site-*.h5")):
        with h5py.File(path) as file:
            found.append(tuple(file[name][()] for name in ("x", "days", "event", "test")))
    rows = np.concatenate([x[test == 0] for x, _, _, test in found]).astype(np.float64)
    deviation = rows.std(0)
    deviation[deviation == 0] = 1
    return [((x - rows.mean(0)) / deviation, time, event, test) for x, time, event, test in found]


def gradient(weights, rows, times, events):
    """Of the negative Cox log partial likelihood, mean over the rows, ties as Breslow."""
    risks = np.exp(rows @ weights)
    at_risk = times[None, :] >= times[:, None]
    shares = at_risk * risks / (at_risk * risks).sum(1, keepdims=True)
    return (events[:, None] * (shares @ rows - rows)).sum(0) / len(rows)


client = ClientApp()


@client.train()
def train(message, context):
    rows, times, events, test = regions()[context.node_config["partition-id"]]
    rows, times, events = rows[test == 0], times[test == 0], events[test == 0]
    weights = message.content["arrays"].to_numpy_ndarrays()[0]
    generator = np.random.default_rng(context.node_config["partition-id"])
    order = np.concatenate([generator.permutation(len(rows)) for _ in range(UPDATES * BATCH // len(rows) + 1)])
    for step in range(UPDATES):
        batch = order[step * BATCH : (step + 1) * BATCH]
        weights = weights - RATE * gradient(weights, rows[batch], times[batch], events[batch])
    content = RecordDict({"arrays": ArrayRecord([weights]), "metrics": MetricRecord({"num-examples": 1})})
    return Message(content=content, reply_to=message)


server = ServerApp()


@server.main()
def main(grid, context):
    columns = regions()[0][0].shape[1]
    result = FedAvg(fraction_train=1.0, fraction_evaluate=0.0, min_available_nodes=6).start(
        grid=grid, initial_arrays=ArrayRecord([np.zeros(columns)]), num_rounds=ROUNDS)
    weights = result.arrays.to_numpy_ndarrays()[0]
    held = [(rows[test == 1] @ weights, times[test == 1], events[test == 1]) for rows, times, events, test in regions()]
    risks, times, events = (np.concatenate(parts) for parts in zip(*held))
    pairs = (events[:, None] == 1) & (times[:, None] < times[None, :])
    right = (risks[:, None] > risks[None, :]) + 0.5 * (risks[:, None] == risks[None, :])
    print(f"concordance {(right * pairs).sum() / pairs.sum():.4f}", flush=True)


if __name__ == "__main__":
    run_simulation(server_app=server, client_app=client, num_supernodes=6, backend_config={"client_resources": {"num_cpus": 1}})
