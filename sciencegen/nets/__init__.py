"""Networks: tensors in, tensors out; they know no physics and no diffusion.

Each is called as ``net(u (N, n), c (N, 1), keep (N, n))``, of states ``u``, ``c`` a quarter of the logarithm of the
noise level, and ``keep``: 1 where a coordinate is noised, 0 where it was marginalised out (``u`` is 0 there), -1 where
it is given: ``u`` is then its clean value, and what comes out there is not used. :func:`suited` chooses one.
"""

from .suited import suited

__all__ = ["suited"]
