"""What the original published: its own solver without a Reynolds number, forces without friction, another metric.

Lift over drag of "Compositional Generative Inverse Design" (Wu et al., 2024), https://arxiv.org/abs/2401.13171, for 1
and 2 airfoils, and what a pair in formation has over each flying alone.
"""

PUBLISHED = {
    1: "lift/drag 2.177; its baselines: CEM with a learned model 1.4005, gradients through one 1.3300",
    2: "lift/drag 1.4216; its baselines: CEM with a learned model 1.0914, gradients through one 0.9722",
}
FORMATION = {"drag_together": -0.536, "efficiency_together": 0.661}
NOTE = "published for the original (another solver, no friction, another metric: not to be compared with the rows)"
