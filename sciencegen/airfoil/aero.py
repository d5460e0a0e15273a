r"""Lift, drag and moment of an airfoil as a torch function: NeuralFoil's network, differentiable and batched.

NeuralFoil is a small network :math:`f` trained on millions of XFOIL solutions. Its input :math:`z` holds the 18 CST
numbers, the angle of attack as :math:`(\sin 2\alpha, \cos\alpha, \sin^2\alpha)`, :math:`\log Re` and the transition
settings. Turning the airfoil upside down, :math:`z \mapsto Pz`, must turn the answer upside down, :math:`y \mapsto
Qy`; this symmetry is built in by averaging, :math:`y = \tfrac12 (f(z) + Q f(Pz))`. The first output is the logit of
the confidence; it is lowered by :math:`d^2 / 2n`, with :math:`d` the Mahalanobis distance of :math:`z` from the
:math:`n = 25`-dimensional training inputs, so that the confidence falls to 0 far from anything seen.

Both evaluations share one matrix product per layer: the flip is folded into the first layer's weights, and only the
six outputs used here are computed in the last one. The weights are those of the installed ``neuralfoil`` package.

References:
    NeuralFoil: An Airfoil Aerodynamics Analysis Tool Using Physics-Informed Machine Learning (Sharpe & Hansman,
    2025), https://arxiv.org/abs/2503.16323. Method and weights: MIT licence, https://github.com/peterdsharpe/NeuralFoil
"""

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from sciencegen.airfoil import cst

# Logit of the confidence, lift, log drag, moment, upper and lower transition.
_OUTPUTS = 6
_FLIPPED_INPUTS = [*range(8, 16), *range(8), *range(16, 23), 24, 23]
_FLIPPED_SIGNS = [-1.0] * 17 + [1.0, -1.0] + [1.0] * 6
_FLIPPED_OUTPUTS = [0, 1, 2, 3, 5, 4]
_OUTPUT_SIGNS = [1.0, -1.0, 1.0, -1.0, 1.0, 1.0]


class Aero(NamedTuple):
    """What a section does in a flow; every field is ``(*B)``.

    ``cl``, ``cd``, ``cm`` are coefficients per unit span, the moment about the quarter chord, nose up positive;
    ``log_cd`` is the natural logarithm of ``cd``; ``confidence`` in [0, 1] says how far to trust the row;
    ``upper_transition`` and ``lower_transition`` are where the boundary layers turn turbulent, in chords.
    """

    cl: Tensor
    cd: Tensor
    cm: Tensor
    confidence: Tensor
    log_cd: Tensor
    upper_transition: Tensor
    lower_transition: Tensor


class NeuralFoil(nn.Module):
    """The aerodynamics of a CST shape, ``(shape, alpha, reynolds) -> Aero``, with frozen weights.

    It computes in the dtype of ``shape``, except for the Mahalanobis distance, which is always taken in float64.

    Arguments:
        size: ``"xxsmall"`` to ``"xxxlarge"``, the network's size.
        n_crit: critical amplification of transition (9: an average wind tunnel).
        xtr_upper, xtr_lower: where transition is forced, in chords; 1 leaves it free.

    Raises:
        ImportError: where the package ``neuralfoil`` is not installed.
        ValueError: where there is no network of this size.
    """

    def __init__(
        self, size: str = "xlarge", n_crit: float = 9.0, xtr_upper: float = 1.0, xtr_lower: float = 1.0
    ) -> None:
        super().__init__()
        self.size = size
        settings = torch.tensor([(n_crit - 9) / 4.5, xtr_upper, xtr_lower], dtype=torch.float64)
        weights, mean, precision = _load(size)
        self.depth = len(weights)
        flip = torch.eye(cst.SIZE + 7, dtype=torch.float64)[_FLIPPED_INPUTS] * torch.tensor(_FLIPPED_SIGNS)[:, None]
        first, bias = weights[0]
        weights[0] = (torch.cat([first, first @ flip.to(first)]), bias.repeat(2))
        weights[-1] = tuple(part[:_OUTPUTS] for part in weights[-1])
        whiten = torch.linalg.cholesky(precision).T
        self._keep("settings", settings)
        self._keep("whiten", torch.cat([whiten, whiten @ flip]))
        self._keep("offset", torch.cat([whiten @ mean, whiten @ mean]))
        self._keep("unflip", (torch.eye(_OUTPUTS)[_FLIPPED_OUTPUTS] * torch.tensor(_OUTPUT_SIGNS)[:, None]).T)
        for i, (weight, bias) in enumerate(weights):
            self._keep(f"weight_{i}", weight)
            self._keep(f"bias_{i}", bias)

    def _keep(self, name: str, value: Tensor) -> None:
        # Not persistent: the weights belong to the installed package, not to a user's checkpoint.
        self.register_buffer(name, value.contiguous(), persistent=False)

    def extra_repr(self) -> str:
        n_crit, upper, lower = self.settings.tolist()
        return f"{self.size}, n_crit={9 + 4.5 * n_crit:g}, xtr_upper={upper:g}, xtr_lower={lower:g}"

    def forward(self, shape: Tensor, alpha: Tensor | float, reynolds: Tensor | float,
                n_crit: Tensor | float | None = None) -> Aero:
        """Shape ``(*B, 18)`` in chords, angle ``(*B)`` in degrees, chord Reynolds number ``(*B)``; all broadcast.

        ``n_crit (*B)`` takes the place of the network's own, a row each.
        """
        inputs = self._inputs(shape, alpha, reynolds, n_crit)
        distance = (linear(inputs, self.whiten) - self.offset).unflatten(-1, (2, -1)).square().sum(-1)
        outputs = self._network(inputs.to(shape.dtype))
        logit = (outputs[..., 0] - distance.to(shape.dtype) / (2 * inputs.shape[-1])).mean(-1)
        flipped = outputs[..., 1, :] @ self.unflip.to(shape.dtype)
        _, cl, log_cd, cm, upper, lower = ((outputs[..., 0, :] + flipped) / 2).unbind(-1)
        log_cd = 2 * log_cd - 4
        return Aero(cl / 2, log_cd.exp(), cm / 20, torch.sigmoid(logit), log_cd, upper.clamp(0, 1), lower.clamp(0, 1))

    def _inputs(self, shape: Tensor, alpha: Tensor | float, reynolds: Tensor | float,
                n_crit: Tensor | float | None) -> Tensor:
        """The scaled inputs ``(*B, 25)``, float64: their covariance's condition number is 7e7, too much for float32."""
        cst.split(shape)
        rows = _rows(shape, alpha, reynolds, n_crit)
        angle, flow = (torch.as_tensor(value).to(self.settings).expand(rows) for value in (alpha, reynolds))
        angle, flow = torch.deg2rad(angle), (torch.log(flow) - 12.5) / 3.5
        state = torch.stack([torch.sin(2 * angle), torch.cos(angle), torch.sin(angle).square(), flow], dim=-1)
        body = torch.cat([shape[..., :-1], 50 * shape[..., -1:]], dim=-1).double()
        settings = self.settings.double().expand(*rows, -1)
        if n_crit is not None:
            own = ((torch.as_tensor(n_crit).to(settings) - 9) / 4.5).expand(rows)
            settings = torch.cat([own.unsqueeze(-1), settings[..., 1:]], dim=-1)
        return torch.cat([body.expand(*rows, -1), state, settings], dim=-1)

    def _network(self, inputs: Tensor) -> Tensor:
        """The raw outputs (*B, 2, 6) for the airfoil and for the airfoil upside down."""
        hidden = linear(inputs, *self._layer(0, inputs)).unflatten(-1, (2, -1))
        for i in range(1, self.depth):
            hidden = linear(silu(hidden), *self._layer(i, inputs))
        return hidden

    def _layer(self, i: int, like: Tensor) -> tuple[Tensor, Tensor]:
        return getattr(self, f"weight_{i}").to(like.dtype), getattr(self, f"bias_{i}").to(like.dtype)


class Counted(nn.Module):
    """The same function as ``aero``, with ``rows``: how many points (shape, alpha, Re) it has evaluated so far."""

    def __init__(self, aero: nn.Module) -> None:
        super().__init__()
        self.aero = aero
        self.rows = 0

    def forward(self, shape: Tensor, alpha: Tensor | float, reynolds: Tensor | float,
                n_crit: Tensor | float | None = None) -> Aero:
        """As the wrapped module; counts the broadcast number of rows."""
        self.rows += _rows(shape, alpha, reynolds, n_crit).numel()
        return self.aero(shape, alpha, reynolds, *(() if n_crit is None else (n_crit,)))


def _rows(shape: Tensor, *others: Tensor | float | None) -> torch.Size:
    return torch.broadcast_shapes(shape.shape[:-1], *(torch.as_tensor(v).shape for v in others if v is not None))


def _load(size: str) -> tuple[list[tuple[Tensor, ...]], Tensor, Tensor]:
    """Layers, mean and precision of the inputs, read without importing ``neuralfoil`` (which takes seconds)."""
    package = find_spec("neuralfoil")
    if package is None or package.origin is None:
        raise ImportError('NeuralFoil\'s weights come with the package neuralfoil; pip install "sciencegen[aero]"')
    folder = Path(package.origin).parent / "nn_weights_and_biases"
    file = folder / f"nn-{size}.npz"
    if not file.exists():
        sizes = sorted(path.stem.removeprefix("nn-") for path in folder.glob("nn-*.npz"))
        raise ValueError(f"got size={size!r}; expected one of {sizes}; choose one of these")
    stored = {key: torch.from_numpy(value) for key, value in np.load(file).items()}
    numbers = sorted({int(key.split(".")[1]) for key in stored})
    layers = [(stored[f"net.{i}.weight"], stored[f"net.{i}.bias"]) for i in numbers]
    inputs = np.load(folder / "scaled_input_distribution.npz")
    precision = torch.from_numpy(inputs["inv_cov_inputs_scaled"]).double()
    return layers, torch.from_numpy(inputs["mean_inputs_scaled"]).double(), (precision + precision.T) / 2
