"""APEBench's own data and training: a script for the interpreter in which it is installed, which needs nothing of ours.

    python apebench_peer.py data diff_burgers data.npz
    python apebench_peer.py train diff_burgers forecast.npz 10000

``data`` writes ``train (50, 51, n)`` and ``test (30, 201, n)``. ``train`` writes the test frames as its convolutional
network says them, which has 34 channels and ten layers, ``frames (30, 200, n)``, with the CPU ``seconds`` of its
training and the ``parameters``.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import numpy as np

NETWORK = "Conv;34;10;relu"
SETTINGS = "adam;{};warmup_cosine;0.0;1e-3;{}"  # the scenarios' own, of 10,000 steps, a fifth of them to warm up


def main(verb: str, name: str, out: str, steps: str = "10000") -> None:
    """One of the two commands."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    import apebench

    scenario = apebench.scenarios.scenario_dict[name]()
    if verb == "data":
        sets = {"train": scenario.get_train_data(), "test": scenario.get_test_data()}
        write(out, **{k: np.asarray(v)[:, :, 0] for k, v in sets.items()})
        return
    settings = SETTINGS.format(int(steps), int(steps) // 5)
    scenario = apebench.scenarios.scenario_dict[name](optim_config=settings)
    since = time.process_time()
    _, network = scenario(network_config=NETWORK)
    seconds = time.process_time() - since
    import exponax
    import jax

    roll = exponax.rollout(network, scenario.test_temporal_horizon)
    frames = jax.vmap(roll)(scenario.get_test_data()[:, 0])
    write(out, frames=np.asarray(frames)[:, :, 0], seconds=seconds, parameters=scenario.get_parameter_count(NETWORK))


def write(out: str, **arrays: Any) -> None:
    """Arrays into a file of exactly this name."""
    with open(out, "wb") as file:
        np.savez(file, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
