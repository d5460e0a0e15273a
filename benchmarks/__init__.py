"""What the package is measured by: one module a benchmark, one table each, run by ``python -m benchmarks NAME``.

A benchmark is a file ``NAME.py`` or a folder ``NAME`` with a ``run.py``; its ``main()`` reads the command line.
"""
