"""The rows of the airfoil table: ways to answer one design question with equally many aerodynamic evaluations."""
