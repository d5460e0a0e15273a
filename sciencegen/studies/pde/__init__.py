"""Partial differential equations: priors over what is given and what it leads to."""
