"""How connections are secured."""

from __future__ import annotations

import ssl
from functools import cache

import httpx

from flowspec.errors import FatalError

__all__ = ["tls_context"]


def tls_context(
    *, ca_file: str | None, certificate_file: str | None, key_file: str | None, verify: bool
) -> ssl.SSLContext:
    """What connections are made with.

    Raises:
        FatalError: a file cannot be used.
    """
    if verify and not ca_file and not certificate_file:
        return _usual_context()
    try:
        context = ssl.create_default_context(cafile=ca_file) if ca_file else httpx.create_ssl_context()
    except OSError as error:
        msg = f"ca_file {ca_file or 'that SSL_CERT_FILE names'} cannot be used: {error}"
        raise FatalError(msg) from error
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate_file:
        try:
            context.load_cert_chain(certificate_file, key_file, password=_no_password)
        except (OSError, ValueError) as error:
            files = " or ".join(filter(None, (certificate_file, key_file)))
            msg = f"certificate_file or key_file ({files}) cannot be used: {error}"
            raise FatalError(msg) from error
    return context


@cache
def _usual_context() -> ssl.SSLContext:
    """Shared by all who ask for nothing else: to read so many certificates takes a tenth of a second."""
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        msg = f"the file that SSL_CERT_FILE names cannot be used: {error}"
        raise FatalError(msg) from error


def _no_password() -> str:
    # Without it OpenSSL asks the terminal.
    msg = "the key is encrypted"
    raise ValueError(msg)
