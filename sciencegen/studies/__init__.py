"""Studies of design: a trained prior, an objective, constraints and a solver put together, a folder each."""
