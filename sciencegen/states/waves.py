r"""Covariances of fields whose law is invariant under shifts: one small matrix for each wave number.

With the unitary discrete Fourier transform ``F_k (C,)`` of the ``C`` channels of a field, ``E F_k F_l^* = 0`` unless
``k = l``, and ``S_k = E F_k F_k^*`` is Hermitian. An eigenvector ``u`` of ``S_k`` with eigenvalue ``v`` is two real
waves of variance ``v``, ``2^{-1/2} (u e^{ikx} + conj)`` and the same a quarter period on; where ``k = -k`` it is one.
Reference: "Time Series: Data Analysis and Theory" (Brillinger, 2001), https://doi.org/10.1137/1.9780898719246, ch. 9.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..layout import Layout

__all__ = ["Waves"]

CHUNK = 32  # waves that are made at once


@dataclass(frozen=True)
class Waves:
    """The periodic grid of a layout: its coordinates by channel and grid point.

    Arguments:
        grid: its sizes.
        fields: coordinates of the state ``(C, *grid)``.
        others: coordinates ``(m,)`` that are not on the grid; channels of wave number zero alone.
    """

    grid: tuple[int, ...]
    fields: Tensor
    others: Tensor

    @classmethod
    def of(cls, layout: Layout, axes: Sequence[str]) -> Waves:
        """That of the named axes; ValueError if a part has some of them only, or of another size."""
        fields, others, grid = [], [], None
        for name, variable in layout.variables.items():
            index = layout[name].index
            places = [variable.dims.index(axis) for axis in axes if axis in variable.dims]
            if not places:
                others.append(index.flatten())
                continue
            sizes = tuple(variable.shape[i] for i in places)
            if len(places) < len(axes) or (grid or sizes) != sizes:
                raise ValueError(f"got '{name}' over {dict(zip(variable.dims, variable.shape))} for the periodic axes "
                                 f"{tuple(axes)}; expected all of them, of one size in all parts, or none")
            grid = sizes
            index = index.movedim(places, tuple(range(-len(places), 0)))
            fields.append(index.reshape(-1, *grid))
        if grid is None:
            raise ValueError(f"got periodic axes {tuple(axes)}; expected some of {layout}'s")
        return cls(grid, torch.cat(fields), torch.cat([*others, torch.zeros(0, dtype=torch.long)]))

    def spectrum(self, x: Tensor) -> Tensor:
        """States ``(b, d)`` to ``(b, K, C + m)``, unitary; the ``m`` others stand at the first wave number, zero."""
        axes = tuple(range(2, 2 + len(self.grid)))
        waves = torch.fft.fftn(x[:, self.fields], dim=axes, norm="ortho").flatten(2).mT
        others = torch.zeros(*waves.shape[:2], len(self.others), dtype=waves.dtype)
        others[:, 0] = x[:, self.others].to(waves)
        return torch.cat([waves, others], -1)

    def level(self, x: Tensor) -> Tensor:
        """A state ``(d,)`` with every channel replaced by its mean over the grid."""
        flat = x.clone()
        flat[self.fields] = x[self.fields].flatten(1).mean(1).reshape(-1, *[1] * len(self.grid)).expand_as(self.fields)
        return flat

    @property
    def channels(self) -> Tensor:
        """Which of the ``C + m`` channels each coordinate is of, ``(d,)``."""
        count = len(self.fields)
        found = torch.zeros(self.fields.numel() + len(self.others), dtype=torch.long)
        found[self.fields] = torch.arange(count).reshape(-1, *[1] * len(self.grid)).expand_as(self.fields)
        found[self.others] = count + torch.arange(len(self.others))
        return found

    def dense(self, cov: Tensor) -> Tensor:
        """The covariance ``(d, d)`` of a state, of those by wave number ``cov (K, C + m, C + m)``."""
        cov, count, places = self._symmetric(cov), len(self.fields), torch.arange(self.fields[0].numel())
        axes = tuple(range(len(self.grid)))
        apart = torch.fft.ifftn(cov[:, :count, :count].unflatten(0, self.grid), dim=axes).real.flatten(0, len(axes) - 1)
        where = torch.stack(torch.unravel_index(places, self.grid))
        gap = (where[:, :, None] - where[:, None]) % torch.tensor(self.grid)[:, None, None]
        gap = (gap * torch.tensor([math.prod(self.grid[i + 1:]) for i in axes])[:, None, None]).sum(0)
        fields, found = self.fields.flatten(1), torch.zeros(2 * (self.fields.numel() + len(self.others),)).double()
        found[fields[:, :, None, None], fields[None, None]] = apart[gap].permute(2, 0, 3, 1)
        found[self.others[:, None], self.others] = cov[0, count:, count:].real
        across = (cov[0, count:, :count].real / len(places) ** 0.5)[:, :, None].expand(-1, -1, len(places)).flatten(1)
        found[self.others[:, None], fields.flatten()] = across
        found[fields.flatten()[:, None], self.others] = across.mT
        return found

    def leading(self, cov: Tensor, rank: int) -> tuple[Tensor, Tensor, Tensor]:
        """Variances ``(k,)`` and axes ``(d, k)`` of the largest real waves of ``cov (K, C + m, C + m)``; the mean rest.

        A wave and the same a quarter period on stay together, so that there may be one less than ``rank``.
        """
        cov, channels = self._symmetric(cov), len(self.fields)
        first = torch.linalg.eigh(cov[0].real)
        values, vectors = torch.linalg.eigh(cov[1:, :channels, :channels])
        partner = self._partner()
        for k in (partner == torch.arange(len(partner))).nonzero()[1:, 0]:  # real waves, whatever phase eigh gives them
            vectors[k - 1] = torch.linalg.eigh(cov[k, :channels, :channels].real).eigenvectors.to(vectors)
        entries = [(float(v), 0, j, 0) for j, v in enumerate(first.eigenvalues)]
        here = [k for k in range(1, len(cov)) if k <= int(partner[k])]
        entries += [(float(values[k - 1, j]), k, j, phase) for k in here for j in range(channels)
                    for phase in range(1 + (int(partner[k]) != k))]
        entries.sort(key=lambda entry: (-entry[0], *entry[1:]))
        count = min(rank, len(entries) - 1)
        if entries[count - 1][1:3] == entries[count][1:3]:
            count -= 1
        kept = entries[:count]
        spectra = [(k, first.eigenvectors[:, j].to(cov) if not k else vectors[k - 1, :, j], phase)
                   for _, k, j, phase in kept]
        axes = torch.cat([self._waves(spectra[i: i + CHUNK], partner) for i in range(0, count, CHUNK)])
        rest = torch.tensor([entry[0] for entry in entries[count:]], dtype=torch.float64).clamp_min(0).mean()
        return torch.tensor([entry[0] for entry in kept], dtype=torch.float64).clamp_min(0), axes.mT.contiguous(), rest

    def _partner(self) -> Tensor:
        """The place of ``-k`` for each wave number ``(K,)``."""
        places = torch.arange(self.fields[0].numel()).reshape(self.grid)
        axes = tuple(range(len(self.grid)))
        return places.flip(axes).roll((1,) * len(axes), axes).flatten()

    def _symmetric(self, cov: Tensor) -> Tensor:
        """A real field's covariance has ``S_{-k} = conj(S_k)``; rounding and few rows do not quite know."""
        cov = (cov + cov.mT.conj()) / 2
        return (cov + cov[self._partner()].conj()) / 2

    def _waves(self, spectra: Sequence[tuple[int, Tensor, int]], partner: Tensor) -> Tensor:
        """Real waves ``(n, d)`` of unit length."""
        channels = len(self.fields)
        found = torch.zeros(len(spectra), channels, len(partner), dtype=torch.complex128)
        states = torch.zeros(len(spectra), self.fields.numel() + len(self.others), dtype=torch.float64)
        for row, (k, vector, phase) in enumerate(spectra):
            alone = int(partner[k]) == k
            vector = vector.real.to(vector) if alone else vector * (1j if phase else 1) / 2**0.5
            found[row, :, k] += vector[:channels]
            if not alone:
                found[row, :, partner[k]] += vector[:channels].conj()
            if not k:
                states[row, self.others] = vector[channels:].real
        fields = torch.fft.ifftn(found.unflatten(-1, self.grid), dim=tuple(range(2, 2 + len(self.grid))), norm="ortho")
        states[:, self.fields.flatten()] = fields.real.flatten(1)
        return states
