"""What an error of pika, or of the broker behind it, means for a flow."""

from __future__ import annotations

import re
import socket
import ssl

from pika.adapters.utils.connection_workflow import (
    AMQPConnectionWorkflowFailed,
    AMQPConnectorException,
    AMQPConnectorPhaseErrorBase,
    AMQPConnectorStackTimeout,
)
from pika.exceptions import (
    AMQPConnectionError,
    AMQPError,
    AMQPHeartbeatTimeout,
    ChannelClosed,
    ConnectionBlockedTimeout,
    ConnectionClosed,
    ConnectionOpenAborted,
    IncompatibleProtocolError,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
)

from flowspec.errors import FatalError, TransientError

__all__ = ["HUNG_UP", "classify", "reply_of"]

HUNG_UP = "the connection was closed while it was opened"

_FATAL_CODES = {
    402: "check the account's virtual_host",
    403: "check the account's username and password, and the user's permissions on the virtual host",
    404: "create the queue or exchange, or check its name and the account's virtual_host",
    406: "what is asked for does not fit what the broker has; change the spec, or delete and declare it anew",
    530: "check that the account's virtual_host exists and that the user may use it",
    540: "the broker does not have this feature",
}
"""Replies that stay the same however often the call is made, and what to do. Source: "Constants" in the AMQP 0-9-1
reference; all others are about the moment, or are answered by a new connection."""
_HINTS_BY_TEXT = {
    "Login was refused": "check the account's username and password",
    "only log in via localhost": "the user guest is for the broker's own machine only; give the account another one",
    "access to vhost": "the user has no permission on the account's virtual_host",
    "access to": "check the user's permissions: configure to declare, write to publish and to bind, read to consume",
    "internal exchange": "nobody may publish to it; bind it to another exchange, and publish to that one",
}
"""What to do where the text says more than the code; the first that is in it."""
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"})
"""What OpenSSL calls an answer that is not TLS."""
_PASSING_TEXTS = (
    "in exclusive use",  # also what the broker says until it notices that our own lost connection is gone
    "is down",  # a virtual host or a queue's home node
    "process is stopped",
    "unknown delivery tag",
)
_DESCRIPTIONS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (socket.gaierror, "the name of the host is not known here (check the URL)"),
    (
        ConnectionRefusedError,
        "the connection is refused: nothing listens there (check host and port, and that the broker runs)",
    ),
    (TimeoutError, "no connection in time (check host and port, firewall and routes)"),
    (AMQPHeartbeatTimeout, "the broker was silent for longer than the heartbeat"),
    ((AMQPConnectorStackTimeout, ConnectionOpenAborted), "no answer while the connection was opened"),
    (ConnectionBlockedTimeout, "the broker takes no messages at present"),
    (
        # That the broker hung up says nothing about credentials: a refusal has a reply.
        (IncompatibleProtocolError, ProbableAccessDeniedError, ProbableAuthenticationError),
        f"{HUNG_UP} (check the port, whether it is one for TLS, and whether the broker wants certificate_file)",
    ),
)
_ACKNOWLEDGEMENT_TIMEOUT = "delivery acknowledgement on channel"
_REPLY_IN_TEXT = re.compile(r"\((\d{3})\) (['\"])(.*)\2")


def reply_of(error: BaseException) -> tuple[int, str] | None:
    """The code and text with which the broker closed a channel or connection; None where it did not."""
    if isinstance(error, (ChannelClosed, ConnectionClosed)):
        return error.reply_code, error.reply_text
    if isinstance(error, (IncompatibleProtocolError, ProbableAccessDeniedError, ProbableAuthenticationError)):
        # While a connection is opened, pika keeps of the broker's reply no more than its text.
        match = _REPLY_IN_TEXT.search(str(error))
        return (int(match[1]), match[3]) if match else None
    return None


def classify(error: BaseException, at: str) -> TransientError | FatalError:
    """The error of a call to the broker at the address `at`, sorted by whether trying again can help."""
    cause = _cause_of(error)
    reply = reply_of(cause)
    if reply is not None:
        return _classify_reply(*reply, at)
    if isinstance(cause, ssl.SSLCertVerificationError):
        hint = "check ca_file, and that the URL has the name that is in the certificate"
        return FatalError(f"{at}: the broker's certificate is not trusted: {cause.verify_message} ({hint})")
    if isinstance(cause, ssl.SSLError) and cause.reason in _NO_TLS:
        hint = "check that this is the broker's TLS port; the URL of another one begins with amqp://"
        return TransientError(f"{at}: what answers does not speak TLS ({hint})")
    if isinstance(cause, ssl.SSLError):
        hint = "check that this is the broker's TLS port, and whether it wants certificate_file"
        return TransientError(f"{at}: TLS failed: {cause.reason or cause} ({hint})")
    if isinstance(cause, (AMQPError, AMQPConnectorException, OSError)):
        return TransientError(f"{at}: {_described(cause)}")
    return FatalError(f"{at}: {cause or repr(cause)}")


def _classify_reply(code: int, text: str, at: str) -> TransientError | FatalError:
    said = f"{at}: {code} {text}"
    if _ACKNOWLEDGEMENT_TIMEOUT in text:
        return TransientError(f"{said} (a record took longer than the broker's consumer_timeout: raise it)")
    hint = _FATAL_CODES.get(code)
    if hint is None or any(passing in text for passing in _PASSING_TEXTS):
        return TransientError(said)
    hint = next((hint for known, hint in _HINTS_BY_TEXT.items() if known in text), hint)
    return FatalError(f"{said} ({hint})")


def _cause_of(error: BaseException) -> BaseException:
    """What pika has wrapped, of several attempts the last one's."""
    while True:
        if isinstance(error, AMQPConnectionWorkflowFailed) and error.exceptions:
            error = error.exceptions[-1]
        elif isinstance(error, AMQPConnectorPhaseErrorBase):
            error = error.exception
        elif isinstance(error, AMQPConnectionError) and error.args and isinstance(error.args[0], BaseException):
            error = error.args[0]
        else:
            return error


def _described(error: BaseException) -> str:
    said = next((text for kinds, text in _DESCRIPTIONS if isinstance(error, kinds)), None)
    return said or str(error) or type(error).__name__
