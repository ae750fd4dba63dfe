"""Triggers: one module or package for each system, each opened as a real Bytewax source."""
