r"""Trained priors: what a training, a checkpoint and a saved model ask of one, whatever is inside.

A prior is an energy of states whose network was fitted to data. A training step draws noise levels, noise and what each
row of its batch is to teach (the joint density, a part of it, a part where others are known); the prior says what that
costs. A saved prior is its network's weights, a few tensors beside them, and settings that JSON can say.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from ..calls import Plan
from ..energy import Energy

__all__ = ["Draw", "Prior"]


class Draw(NamedTuple):
    """Random numbers of a training step, a row of the batch each.

    Arguments:
        sigma: noise levels ``(b, 1)``.
        noise: standard normal ``(b, n)``.
        part: which kind of row each is, ``(b,)`` integers below the prior's ``parts``.
        uniform: ``(b, k)`` in (0, 1), for what else a loss may draw; ``k`` may be zero.
    """

    sigma: Tensor
    noise: Tensor
    part: Tensor
    uniform: Tensor


class Prior(Energy):
    """An energy that can be trained, saved and loaded.

    Attributes:
        net: what is trained; its weights are saved.
        size: how many numbers a state has.
        parts: how many kinds of rows a training step may draw: the joint, and what else the prior is to know.
        denoises: whether it knows a score, so that it is judged by how it denoises; else by its own loss.
    """

    net: nn.Module
    size: int
    parts: int = 1
    denoises: bool = True

    def groups(self) -> list[list[nn.Parameter]]:
        """The parameters that are trained, by the optimiser that they share."""
        return [[p for p in self.net.parameters() if p.requires_grad]]

    @classmethod
    def around(cls, net: nn.Module) -> nn.Module:
        """What is trained, of a network as a recipe builds it: itself, unless the prior wraps it."""
        return net

    @abc.abstractmethod
    def plan_loss(self, clean: Tensor, draw: Draw) -> Plan:
        """Losses ``(b,)`` of the rows ``clean (b, size)``, all by one call of the network."""

    @abc.abstractmethod
    def config(self) -> dict[str, Any]:
        """Its settings, JSON-ready: all that :meth:`build` needs beside the network and :meth:`tensors`."""

    @abc.abstractmethod
    def tensors(self, half: bool = False) -> dict[str, Tensor]:
        """What is saved beside the network's weights, by name; ``half`` stores in 16 bits what may be."""

    @classmethod
    @abc.abstractmethod
    def build(cls, config: Mapping[str, Any], net: nn.Module, tensors: Mapping[str, Tensor]) -> Prior:
        """The prior of which these are :meth:`config` and :meth:`tensors`; ``net`` is as a recipe builds it.

        ValueError, TypeError or KeyError if they are of none.
        """
