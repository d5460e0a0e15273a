"""Coupled physics from priors and solvers that never met, beside the iterations and rules that could do it."""
