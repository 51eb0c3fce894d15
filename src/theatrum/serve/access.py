"""Who may ask, and where: API keys, addresses, and what is allowed without keys."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import socket
from collections.abc import Sequence
from pathlib import Path

KEYS_VARIABLE = "THEATRUM_API_KEYS"
_SHORTEST = 16


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only.

    Examples
    --------
    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "example.org")]
    [True, True, True, False, False]
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_keys(path: Path | None) -> tuple[str, ...]:
    """Read API keys from a file (one a line, ``#`` for comments), or from the environment variable.

    Parameters
    ----------
    path : Path or None
        The file; None takes ``THEATRUM_API_KEYS``, keys separated by commas.

    Returns
    -------
    tuple of str
        Empty where none are set.

    Raises
    ------
    ValueError
        A file without a key, or a key that is short or not plain ASCII (named by its place, never shown).
    """
    if path is None:
        where, lines = KEYS_VARIABLE, os.environ.get(KEYS_VARIABLE, "").split(",")
    else:
        where, lines = str(path), path.read_text(encoding="utf-8").splitlines()
    keys = tuple(line.strip() for line in lines if line.strip() and not line.strip().startswith("#"))
    if path is not None and not keys:
        raise ValueError(f"{where} holds no key; write one a line")
    for place, key in enumerate(keys, start=1):
        if len(key) < _SHORTEST or not key.isascii() or " " in key:
            raise ValueError(
                f"{where}: key {place} is not {_SHORTEST} or more ASCII characters without a space; make one with: "
                'python -c "import secrets; print(secrets.token_urlsafe(32))"'
            )
    return keys


def check_exposure(host: str, keys: Sequence[str]) -> None:
    """Refuse to listen beyond this machine without a key.

    Raises
    ------
    ValueError
        Saying how to give keys.
    """
    if not keys and not is_loopback(host):
        raise ValueError(
            f"listening on {host} opens the documents to others, and no API key is set; give --keys FILE (one key a "
            f"line) or {KEYS_VARIABLE}, or listen on 127.0.0.1"
        )


def listen(host: str, port: int) -> socket.socket:
    """Open the socket of a service; port 0 takes a free one.

    Raises
    ------
    OSError
        The address is not of this machine, or the port is taken.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # The protocol is said, as asyncio sends answers without delay (TCP_NODELAY) only where it is: 40 ms each.
        door = socket.socket(family, kind, socket.IPPROTO_TCP)
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(address)
        door.listen(2048)
    except OSError as error:
        raise OSError(f"cannot listen on {host}:{port}: {error.strerror or error}; take another --port") from None
    return door


def key_allowed(header: str | None, keys: Sequence[str]) -> bool:
    """Whether an Authorization header carries one of the keys; takes the same time for every wrong one.

    Examples
    --------
    >>> key_allowed("Bearer a-long-enough-key", ["another-good-key", "a-long-enough-key"])
    True
    >>> key_allowed("Basic a-long-enough-key", ["a-long-enough-key"])
    False
    """
    scheme, _, given = (header or "").partition(" ")
    digest = hashlib.sha256(given.strip().encode("utf-8", "replace")).digest()
    # All are compared, also after a match, so that the time says nothing about which key it was.
    matches = [hmac.compare_digest(digest, hashlib.sha256(key.encode()).digest()) for key in keys]
    return any(matches) and scheme.lower() == "bearer"


def local_name(host_header: str | None) -> bool:
    """Whether a Host header names this machine.

    A web page elsewhere can point its own name at 127.0.0.1 and read a service that has no keys; its requests carry
    that name, so they can be told.

    Examples
    --------
    >>> [local_name(name) for name in ("127.0.0.1:8000", "[::1]:80", "localhost", "evil.example:8000", None)]
    [True, True, True, False, False]
    """
    host = host_header or ""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return is_loopback(name.lower())
