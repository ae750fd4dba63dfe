"""Flows run by the real command line, and what came out of them: the same as connectors are tested with."""

from __future__ import annotations

from sources.testing.flows import ENVIRONMENT, PATIENCE, Output, RunningFlow, eventually

__all__ = ["ENVIRONMENT", "PATIENCE", "Output", "RunningFlow", "eventually"]
