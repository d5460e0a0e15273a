r"""Training of priors: denoising score matching that gives one result however often it is stopped or shared.

Minimises a prior's loss, for a denoiser the error of "A Connection Between Score Matching and Denoising Autoencoders"
(Vincent, 2011), https://doi.org/10.1162/NECO_a_00142, over rows, noise levels and what the prior is to know beside the
joint density. What a step sees (:mod:`sciencegen.train.schedule`) depends on the seed and the step alone, so that a
resumed or lengthened run repeats an uninterrupted one bit by bit, and ranks that share a batch add up to the gradient
of one process.

:func:`fit` trains one prior on rows; :func:`train` goes from :class:`sciencegen.states.States` to a model with a card.
"""

import sys
import types

from .fit import Trained, fit
from .recipe import Data, Packed, Training, contexts
from .road import train
from .schedule import Levels, Schedule

__all__ = ["Data", "Levels", "Packed", "Schedule", "Trained", "Training", "contexts", "fit", "train"]


class _Package(types.ModuleType):
    """This package as the function of its name, so that ``sciencegen.train(states)`` trains whoever imported it how."""

    __call__ = staticmethod(train)


sys.modules[__name__].__class__ = _Package
