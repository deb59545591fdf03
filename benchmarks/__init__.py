"""Measurements of the package on data, each with its result as JSON; see `python -m benchmarks`."""
