"""One thread of linear algebra for NumPy and SciPy; import before them.

Matrices of twenty rows gain nothing from threads, and OpenBLAS's wait for work by spinning: on busy cores SLSQP then
takes nine milliseconds a step instead of a twentieth of one.
"""

import os

for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(name, "1")
