"""Airfoil design by composing one energy over several operating conditions: prior, question, study, report."""
