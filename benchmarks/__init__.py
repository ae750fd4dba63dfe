"""Benchmarks: how fast a flow is beside the floor it stands on. Run them with `python -m benchmarks all`."""
