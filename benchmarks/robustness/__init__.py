"""What strangers' files and solvers, and `kill -9`, do to us: each part has `cases(seed)` and `judge(case)`."""
