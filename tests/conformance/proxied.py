"""What harnesses share whose system is reached through a proxy."""

from __future__ import annotations

from sources.testing.harness import Harness
from tests.servers.tcp_proxy import TcpProxy

__all__ = ["Proxied"]


class Proxied(Harness):
    """Cuts, stalls and takes away the connections of what is `proxied`."""

    _proxy: TcpProxy

    def cut(self) -> None:
        self._proxy.cut()

    def down(self) -> None:
        self._proxy.down()

    def up(self) -> None:
        self._proxy.up()

    def stall(self) -> None:
        self._proxy.stall()

    def resume(self) -> None:
        self._proxy.resume()
