"""What every test may count on: one thread, no display, the same examples on every run of CI."""

import os

# Before torch and numpy are imported, for this process and for the ones that a test starts.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import signal

import matplotlib
import pytest
import torch
from hypothesis import settings

matplotlib.use("Agg")
torch.set_num_threads(1)

settings.register_profile("sciencegen", deadline=None, max_examples=30, derandomize="CI" in os.environ)
settings.load_profile("sciencegen")


@pytest.fixture
def generator() -> torch.Generator:
    """A generator in a fixed state: the only source of randomness of a test. Draw in float64."""
    return torch.Generator().manual_seed(0)

# A shell that starts pytest in the background makes it ignore Ctrl-C, which the tests of interrupts send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
