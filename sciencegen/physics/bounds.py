r"""Bounds of effective properties: how conducting or stiff a material of given shares of its phases can be at all.

*Wiener's* are of layers along and across the flux. *Hashin and Shtrikman's* are of isotropic materials, and are reached
by coated spheres: of a property :math:`p` with shares :math:`f_i`,

.. math:: p^\pm = \left( \sum_i \frac{f_i}{p_i + h} \right)^{-1} - h,

where :math:`h` is of the stiffest or softest phase: :math:`(d - 1) k` of conductivity, :math:`2 (d - 1) \mu / d` of the
bulk modulus; of the shear modulus :math:`K \mu / (K + 2 \mu)` in two dimensions (plane strain,
:math:`K = \lambda + \mu`) and :math:`\mu (9 K + 8 \mu) / 6 (K + 2 \mu)` in three.

References:
    A variational approach to the theory of the elastic behaviour of multiphase materials (Hashin & Shtrikman, 1963),
    https://doi.org/10.1016/0022-5096(63)90060-7; A variational approach to the theory of the effective magnetic
    permeability of multiphase materials (the same, 1962), https://doi.org/10.1063/1.1728579
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["conductivity_bounds", "modulus_bounds", "wiener"]


def wiener(values: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Least and most of any material, layers across and along: ``(*B, phases)`` each to two ``(*B,)``.

    ValueError for shares that do not add up to one.
    """
    _check(values, shares)
    return 1 / (shares / values).sum(-1), (shares * values).sum(-1)


def conductivity_bounds(values: Tensor, shares: Tensor, axes: int = 2) -> tuple[Tensor, Tensor]:
    """Least and most conductivity of isotropic materials in ``axes`` dimensions: ``(*B, phases)`` to two ``(*B,)``."""
    _check(values, shares)
    return tuple(_mixed(values, shares, (axes - 1) * end) for end in (values.amin(-1), values.amax(-1)))


def modulus_bounds(bulk: Tensor, shear: Tensor, shares: Tensor, axes: int = 2) -> tuple[Tensor, Tensor]:
    """Least and most bulk and shear modulus of isotropic materials: ``(*B, phases)`` to two ``(*B, 2)``.

    The phase that is stiffest in one has to be so in the other; ValueError where it is not.
    """
    _check(bulk, shares)
    if not torch.equal(bulk.argsort(-1), shear.argsort(-1)) and bool((bulk.amax(-1) > bulk.amin(-1)).all()):
        raise ValueError("got a phase that is stiffer in bulk and softer in shear than another; expected phases in one "
                         "order, of which alone these bounds are")
    made = []
    for end in (0, -1):
        k, mu = (part.sort(-1).values[..., end] for part in (bulk, shear))
        own = k * mu / (k + 2 * mu) if axes == 2 else mu * (9 * k + 8 * mu) / (6 * (k + 2 * mu))
        made.append(torch.stack([_mixed(bulk, shares, 2 * (axes - 1) / axes * mu), _mixed(shear, shares, own)], -1))
    return made[0], made[1]


def _mixed(values: Tensor, shares: Tensor, more: Tensor) -> Tensor:
    return 1 / (shares / (values + more[..., None])).sum(-1) - more


def _check(values: Tensor, shares: Tensor) -> None:
    total = shares.sum(-1)
    if not bool((shares >= 0).all() & ((total - 1).abs() < 1e-5).all() & (values > 0).all()):
        raise ValueError(f"got shares {shares.tolist()} of phases {values.tolist()}; expected shares that add up to "
                         "one, and properties above zero")
