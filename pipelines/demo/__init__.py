"""The demonstration: an example flow on an embedded queue."""

from pipelines.demo.run import run_demo

__all__ = ["run_demo"]
