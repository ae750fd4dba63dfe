"""Whether a port speaks TLS: what a client that was hung up on wants to know."""

from __future__ import annotations

import socket
import ssl

__all__ = ["speaks_tls"]

_WITHIN = 1.0


def speaks_tls(host: str, port: int) -> bool:
    """Whether a handshake succeeds there, or is refused in the way of TLS; no certificate is looked at."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), _WITHIN) as plain, context.wrap_socket(plain):
            return True
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")
    except OSError:
        return False
