"""Addresses of what a service depends on: read by the very libraries that will use them, before anything starts."""

import os
import re
from ipaddress import ip_address
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import PGconn
from valkey.asyncio import ConnectionPool
from valkey.exceptions import ValkeyError

_POSTGRES = ("postgresql://", "postgres://")
_VALKEY = ("valkey://", "valkeys://", "redis://", "rediss://")
_CREDENTIALS = re.compile(r"\w+://([^@/]*@)?[^@/?]*(/[^@?]*)?(\?.*)?", re.DOTALL)
"""Where libpq looks for user and password. Elsewhere an @ was one of a password, whose rest would pass for a name."""
_UNREADABLE = "cannot be read: in a user, a password or a name, write % as %25, @ as %40, / as %2F"
_WHOLE_NUMBERS = (
    "connect_timeout", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"
)  # fmt: skip
_OF_NOWHERE = (os.devnull, "over a local socket")
"""What is said of the place alone: that nobody listens there, or that Kerberos (`gssencmode`) is for networks."""
_QUOTED = re.compile(r'"[^"]*"')


def check_postgres(url: str) -> None:
    """Let libpq judge: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS

    Raises:
        ValueError: Why it cannot be used, in words that repeat no value.
    """
    if not url.startswith(_POSTGRES):
        raise ValueError("must start with postgresql://")
    if not _CREDENTIALS.fullmatch(url):
        raise ValueError(_UNREADABLE)
    try:
        options = conninfo_to_dict(url)
    except (psycopg.Error, UnicodeDecodeError) as error:
        raise ValueError(_why_unreadable(str(error))) from None
    for name in _WHOLE_NUMBERS:
        if not re.fullmatch(r"[+-]?\d{1,9}", str(options.get(name, 0))):
            raise ValueError(f"{name} must be a whole number")
    hosts, addresses = (str(options.get(name) or "").split(",") for name in ("host", "hostaddr"))
    if hosts != [""] and addresses != [""] and len(hosts) != len(addresses):
        raise ValueError("host and hostaddr must name as many servers, in the same order")
    if not all(not address or is_address(address) for address in addresses):
        raise ValueError("hostaddr must be addresses of the network, as 192.0.2.1 is")
    if why := _rehearsed(url, max(len(hosts), len(addresses))):
        raise ValueError(f"cannot be used: {_QUOTED.sub('…', why, count=1)}")


def _why_unreadable(why: str) -> str:
    if unknown := re.search(r'invalid URI query parameter: "(\w{1,32})"', why):
        return f"PostgreSQL knows no parameter {unknown[1]}"
    if unquoted := re.search(r'extra key/value separator "=" in URI query parameter: "(\w{1,32})"', why):
        return f"cannot be read: in the value of {unquoted[1]}, write = as %3D"
    return _UNREADABLE


def _rehearsed(url: str, hosts: int) -> str:
    """What libpq has against it when it begins to connect, to where nobody ever listens."""
    nowhere = ",".join([os.devnull] * hosts)
    connection = PGconn.connect_start(make_conninfo(url, host=nowhere, hostaddr="").encode())
    why = connection.error_message.decode(errors="replace").strip()
    connection.finish()
    return "" if any(words in why for words in _OF_NOWHERE) else why


def check_valkey(url: str) -> None:
    """Let the client judge that will connect.

    Raises:
        ValueError: Why it cannot be used, in words that repeat no value.
    """
    if not url.startswith(_VALKEY):
        raise ValueError(f"must start with {' or '.join(_VALKEY)}")
    try:
        ConnectionPool.from_url(url).make_connection()  # type: ignore[no-untyped-call]
    except TypeError as error:
        unknown = re.search(r"argument '(\w{1,32})'", str(error))
        raise ValueError(f"Valkey knows no parameter {unknown[1] if unknown else ''}") from None
    except (ValueError, ValkeyError):
        raise ValueError(_UNREADABLE) from None


def is_address(text: str) -> bool:
    """Whether it is one of the network, and no name."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_web_address(url: str, *schemes: str) -> bool:
    """Whether there is a host to ask, without the name and password that urllib would take for a part of it."""
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        return False
