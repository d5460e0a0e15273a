"""Networks: tensors in, tensors out; they know no physics and no diffusion.

Each is called as ``net(u (N, n), c (N, 1), keep (N, n))``, see :mod:`sciencegen.network`.
"""
