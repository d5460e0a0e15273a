"""What was published, on a grid of 128 with 500 points, exact data and other test fields: to be read, not compared.

From table 1 of FunDPS (NeurIPS 2025), which also ran DiffusionPDE again; relative errors in per cent, of Darcy's rock
the share of wrong pixels.
"""

PUBLISHED = {
    "poisson-forward": {"FunDPS, 500 steps": 1.99, "DiffusionPDE, run again by FunDPS": 4.88, "FNO": 100.9},
    "poisson-inverse": {"FunDPS, 500 steps": 20.47, "DiffusionPDE, run again by FunDPS": 21.10, "FNO": 232.7},
    "helmholtz-forward": {"FunDPS, 500 steps": 2.13, "DiffusionPDE, run again by FunDPS": 12.64, "FNO": 98.2},
    "helmholtz-inverse": {"FunDPS, 500 steps": 17.16, "DiffusionPDE, run again by FunDPS": 19.07, "FNO": 218.2},
    "navier-stokes": {"FunDPS, 500 steps": 8.48, "DiffusionPDE, run again by FunDPS": 9.63, "FNO": 96.0},
    "darcy-inverse": {"FunDPS, 500 steps": 5.18, "DiffusionPDE, run again by FunDPS": 7.87, "FNO": 49.3},
}
NOTE = "published, 128 grid, 500 points, not comparable"
