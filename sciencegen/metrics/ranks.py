"""The rank histogram (Talagrand diagram): where among the members of an ensemble the truth lies.

Truth and members drawn alike are exchangeable, so every rank is as likely. A histogram like a cup shows members that
are too much alike, one like a cap members too far apart, a slope a bias.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from scipy import stats
from torch import Tensor

from .weights import members

__all__ = ["RankHistogram", "rank_histogram"]


class RankHistogram(NamedTuple):
    """Counts of the truth's ranks, and how far they are from even.

    Arguments:
        counts: ``(S + 1,)``, how many numbers of the truth have 0, 1 ... S members below them; ties in equal parts.
        chi2: Pearson's statistic against equal counts, of ``S`` degrees of freedom.
        p: how likely one as large is where ranks are even *and the numbers independent*, which neighbours in a field
            are not.
    """

    counts: Tensor
    chi2: Tensor
    p: Tensor


def rank_histogram(samples: Tensor, truth: Tensor) -> RankHistogram:
    """Ranks of all numbers of a ``truth (*B)`` among ``samples (S, *B)``, members of equal weight.

    "Interpretation of Rank Histograms for Verifying Ensemble Forecasts" (Hamill, 2001),
    https://doi.org/10.1175/1520-0493(2001)129<0550:IORHFV>2.0.CO;2
    """
    count = members(samples, truth)
    below, not_above = (samples < truth).sum(0).flatten(), (samples <= truth).sum(0).flatten()
    steps = samples.new_zeros(count + 2)
    part = 1 / (not_above - below + 1).to(samples)  # of each rank among those of equal members
    steps = steps.index_add(0, below, part).index_add(0, not_above + 1, -part)
    counts = steps.cumsum(0)[:-1]
    even = truth.numel() / (count + 1)
    chi2 = ((counts - even).square() / even).sum()
    return RankHistogram(counts, chi2, torch.as_tensor(stats.chi2.sf(float(chi2), count)).to(samples))
