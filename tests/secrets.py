"""Secrets that are planted in accounts, and the search for them in whatever a flow leaves behind."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

__all__ = ["GIVEN", "MOST", "STEM", "leaks", "leaks_in", "masked", "planted_account", "secret"]

STEM = "zZplantedZsecretZz"
"""What every planted secret has in it."""
GIVEN = ("spec.json", "accounts.toml", "secrets")
"""Files, and folders, in which secrets were put on purpose."""
MOST = 32 * 1024 * 1024
"""Bytes of a file that are searched: its first ones."""

_AROUND = 40


def secret(name: str) -> str:
    """A secret that says where it was planted."""
    return f"{STEM}{name}"


def planted_account(connector: str, host: str = "127.0.0.1", port: int = 1) -> dict[str, Any]:
    """An account with a secret in each field that may have one and goes with the others.

    Nothing listens at the default port.
    """
    return _ACCOUNTS[connector](host, port)


def leaks(folder: Path, given: Iterable[str] = GIVEN) -> list[str]:
    """Where in the files of a folder, and of those in it, planted secrets are; those of `given` names are left out.

    Names are patterns, as those of shells. Databases are searched like any file, with their logs beside them.
    """
    patterns = tuple(given)
    files = ((path, path.relative_to(folder)) for path in sorted(folder.rglob("*")))
    return [
        f"{name}: {found}"
        for path, name in files
        if not any(fnmatch(part, each) for part in name.parts for each in patterns)
        for found in leaks_in(_beginning(path))
    ]


def _beginning(path: Path) -> bytes:
    """The first bytes of a file; none of what is no file, or what the test may not read itself."""
    with suppress(PermissionError):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                return file.read(MOST)
    return b""


def leaks_in(content: bytes | str) -> list[str]:
    """The planted secrets in a text, plain or in base64, each with what is around it and masked itself."""
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    small = data.lower()
    # This takes a tenth of the time of the expression, and nothing is found nearly always.
    if not any(part in small for part in _PARTS):
        return []
    around = (data[max(0, found.start() - _AROUND) : found.end() + _AROUND] for found in _PLANTED.finditer(data))
    return [masked(part.decode("utf-8", "backslashreplace")) for part in around]


def masked(text: str) -> str:
    """A text with the name of each secret in its place."""
    return _PLANTED.sub(_name, text.encode(errors="backslashreplace")).decode()


def _name(found: re.Match[bytes]) -> bytes:
    name = found["name"]
    return b"<planted secret, encoded>" if name is None else b"<planted secret %b>" % name


def _encoded() -> Iterator[str]:
    """The stem in base64, which is another text for each place that it may have among three characters."""
    for before in range(3):
        text = base64.b64encode(b"\0" * before + STEM.encode()).decode().rstrip("=")
        # The first and the last character have bits of what is beside the stem.
        yield text[(before * 8 + 5) // 6 : -1]


_PARTS = [text.lower().encode() for text in (STEM, *_encoded())]
# A host, which a password in a URL may be taken for, comes in small letters.
_PLANTED = re.compile(
    f"(?i:{STEM})(?P<name>[A-Za-z0-9]*)|(?:{'|'.join(map(re.escape, _encoded()))})[A-Za-z0-9+/=]*".encode()
)


def _aws(host: str, port: int) -> dict[str, Any]:
    return {
        "endpoint_url": f"http://{host}:{port}",
        "region": "us-east-1",
        "access_key_id": "planted",
        "secret_access_key": secret("AwsKey"),
        "session_token": secret("AwsToken"),
    }


def _http(host: str, port: int) -> dict[str, Any]:
    return {
        "base_url": f"http://{host}:{port}",
        "username": "planted",
        "password": secret("HttpPassword"),
        "api_key": secret("HttpKey"),
        "api_key_query": "key",
        "headers": {"X-Tenant": secret("HttpHeader")},
        "signing_secret": secret("HttpSigning"),
    }


def _kafka(host: str, port: int) -> dict[str, Any]:
    return {
        "bootstrap_servers": f"{host}:{port}",
        "security_protocol": "sasl_plaintext",
        "username": "planted",
        "password": secret("KafkaPassword"),
        "key_password": secret("KafkaKey"),
        "properties": {"ssl.keystore.password": secret("KafkaProperty")},
        "schema_registry": {
            "url": f"http://{host}:{port}",
            "username": "planted",
            "password": secret("RegistryPassword"),
        },
    }


def _rabbitmq(host: str, port: int) -> dict[str, Any]:
    return {"url": f"amqp://planted:{secret('RabbitUrl')}@{host}:{port}/", "password": secret("RabbitPassword")}


def _sql(host: str, port: int) -> dict[str, Any]:
    return {
        "url": f"postgresql://planted:{secret('SqlUrl')}@{host}:{port}/shop",
        "password": secret("SqlPassword"),
        "options": {"sslpassword": secret("SqlOption")},
    }


_ACCOUNTS = {
    "amazon-s3": _aws,
    "amazon-sqs": _aws,
    "http": _http,
    "kafka": _kafka,
    "rabbitmq": _rabbitmq,
    "sql": _sql,
}
