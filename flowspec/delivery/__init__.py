"""Delivery: how records go from a reader to every sink, and when the trigger's system is told."""
