"""Tests of flows: records that are given to a flow, and what is expected of it.

They are in the `tests` section of a spec, or in a file beside it: `orders.test.json` beside `orders.json`. A test runs
the flow that the compiler makes, with its real steps, between a trigger and sinks that are lists in memory.
"""
