"""The processes of a cluster on several machines: how they meet, and hear of each other's stops and failures.

Bytewax connects its workers once, in an order of its own: one that comes, goes and comes again meanwhile leaves a
cluster that waits for ever, and whoever else calls the port ends it. So before that, and while the cluster runs, the
processes hold a connection to the first worker's, on its port: it has them begin when all are there, and tells them
what happens to one of them. What they say are lines of JSON.
"""

from pipelines.peers.meeting import meet
from pipelines.peers.peers import Peers

__all__ = ["Peers", "meet"]
