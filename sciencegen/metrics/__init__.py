r"""Scores of samples, forecasts and designs: tensors in, tensors out, on the device and in the dtype they come in.

Ensembles lead with their members: ``samples (S, *B)`` of a ``truth (*B)``. Fields lead with what is scored one by one:
``(*B, *space)``, the last ``axes`` axes being space.

Estimates from finitely many samples are the unbiased ("fair") ones: their expectation does not depend on how many
samples there are, so that ensembles of different sizes can be compared. They can fall below zero by chance. Members of
unequal weights (importance sampling) count as :math:`1 / \sum_i w_i^2` members: an ensemble's effective sample size.
"""

from .denoising import tweedie_error, tweedie_errors
from .ensembles import Calibration, calibration, coverage, crps, energy_score, mean, quantile, spread_skill, variance
from .fields import (
    HighCorrelation,
    correlation,
    high_correlation_time,
    nrmse_apebench,
    nrmse_pdebench,
    relative_error,
    rmse,
    vrmse,
)
from .ranks import RankHistogram, rank_histogram
from .repeats import Interval, interval
from .sets import diversity, energy_distance, mmd
from .spectra import Bands, spectrum, spectrum_ratio
from .weights import effective_size

__all__ = [
    "Bands", "Calibration", "HighCorrelation", "Interval", "RankHistogram", "calibration", "correlation", "coverage",
    "crps", "diversity", "effective_size", "energy_distance", "energy_score", "high_correlation_time", "interval",
    "mean", "mmd", "nrmse_apebench", "nrmse_pdebench", "quantile", "rank_histogram", "relative_error", "rmse",
    "spectrum", "spectrum_ratio", "spread_skill", "tweedie_error", "tweedie_errors", "variance", "vrmse",
]  # fmt: skip
