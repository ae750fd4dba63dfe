"""Who may send: a shared secret in a header, or a signature of the body."""

from __future__ import annotations

import base64
import hmac
import re
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Literal, Protocol, TypeAlias

from pydantic import Field

from flowspec.fields import Duration
from flowspec.model import SpecModel
from sources.webhook.http import Answer, Request, refused

__all__ = ["Anybody", "Gate", "HeaderName", "Preset", "SharedSecret", "Signature", "Signed"]

Preset: TypeAlias = Literal["github", "shopify", "stripe"]

HeaderName: TypeAlias = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", max_length=100)]


class Signature(SpecModel):
    """How a sender signs its requests: an HMAC-SHA256 with the account's `signing_secret`, in a header."""

    header: Annotated[
        HeaderName, Field(description="Name of the header with the signature.", examples=["X-Signature-256"])
    ]
    prefix: Annotated[
        str, Field(description="What stands before the signature in the header.", examples=["sha256="])
    ] = ""
    encoding: Annotated[
        Literal["hex", "base64"], Field(description="How the signature is written.", examples=["base64"])
    ] = "hex"
    tolerance: Annotated[
        Duration | None,
        Field(
            gt=0,
            description="For headers like `t=1700000000,v1=...`, as Stripe sends them, where the time in seconds is "
            "signed too, as `{t}.{body}`: how far that time may be from this machine's clock. `prefix` is then that of "
            "the signature, `v1=`. By default only the body is signed.",
            examples=["5m"],
        ),
    ] = None

    @classmethod
    def of(cls, signature: Signature | Preset) -> Signature:
        """The signature that a name stands for."""
        return _PRESETS[signature] if isinstance(signature, str) else signature


_SECONDS = re.compile(r"[0-9]{1,12}")
_PRESETS: Mapping[str, Signature] = {
    "github": Signature(header="X-Hub-Signature-256", prefix="sha256="),
    "shopify": Signature(header="X-Shopify-Hmac-Sha256", encoding="base64"),
    "stripe": Signature(header="Stripe-Signature", prefix="v1=", tolerance=300),
}


class Gate(Protocol):
    """Tells the requests of the sender from those of others; compares in constant time."""

    @property
    def header(self) -> str | None:
        """The header, in lower case, that a sender proves itself with; no record has it."""

    def check_head(self, request: Request) -> Answer | None:
        """Refuse a request whose body is not here yet."""

    def check(self, request: Request) -> Answer | None:
        """Refuse a request that is here as a whole."""


class Anybody:
    """Lets all requests in."""

    header = None

    def check_head(self, request: Request) -> Answer | None:
        """Nothing is asked for."""
        return None

    def check(self, request: Request) -> Answer | None:
        """Nothing is asked for."""
        return None


class SharedSecret:
    """Lets requests in that have the secret in a header."""

    def __init__(self, header: str, secret: str) -> None:
        self.header = header.lower()
        self._secret = secret.encode()

    def check_head(self, request: Request) -> Answer | None:
        """A body without the secret need not be read."""
        given = request.headers.get(self.header)
        if given is None:
            return _missing(self.header)
        if not hmac.compare_digest(given.encode(), self._secret):
            return refused(403, f"the secret in the header {self.header} is wrong")
        return None

    def check(self, request: Request) -> Answer | None:
        """It was checked by then."""
        return None


class Signed:
    """Lets requests in that are signed with the secret."""

    def __init__(self, signature: Signature, secret: str, now: Callable[[], float] = time.time) -> None:
        self.header = signature.header.lower()
        self._signature = signature
        self._secret = secret.encode()
        self._now = now

    def check_head(self, request: Request) -> Answer | None:
        """A body without a signature need not be read."""
        return None if self.header in request.headers else _missing(self.header)

    def check(self, request: Request) -> Answer | None:
        """Compare with the signature that the body should have."""
        given = request.headers[self.header]
        if self._signature.tolerance is None:
            return None if self._fits([given], request.body) else self._wrong()
        parts = [part.strip() for part in given.split(",")]
        stamp = next((part[2:] for part in parts if part.startswith("t=")), "")
        if not self._fits(parts, stamp.encode() + b"." + request.body):
            return self._wrong()
        # Whoever has the secret has written it.
        if not _SECONDS.fullmatch(stamp) or abs(self._now() - int(stamp)) > self._signature.tolerance:
            return refused(403, f"the time in the header {self.header} is not now; check the clocks, or sign it again")
        return None

    def _fits(self, candidates: list[str], signed: bytes) -> bool:
        digest = hmac.digest(self._secret, signed, "sha256")
        written = base64.b64encode(digest).decode() if self._signature.encoding == "base64" else digest.hex()
        right = (self._signature.prefix + written).encode()
        # A sender that changes its secret signs with both for a while.
        return any(hmac.compare_digest(each.encode(), right) for each in candidates)

    def _wrong(self) -> Answer:
        return refused(403, f"the signature in the header {self.header} is not that of the body as it was received")


def _missing(header: str) -> Answer:
    challenge = f'Webhook header="{header}"'.encode()
    return refused(401, f"the header {header} is missing", (b"www-authenticate", challenge))
