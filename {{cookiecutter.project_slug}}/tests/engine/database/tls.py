"""A PostgreSQL that is reached over TLS: in front of one that has none, with a certificate of the test's own."""

import asyncio
import ssl
from asyncio import IncompleteReadError, StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_REQUEST = 8
"""Bytes with which a client asks for TLS, and is answered S
(https://www.postgresql.org/docs/current/protocol-message-formats.html, SSLRequest)."""


def make_root(directory: Path, host: str) -> Path:
    """A certificate of its own for a host, next to its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    file = directory / f"{host}.pem"
    file.write_bytes(certificate.public_bytes(Encoding.PEM))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.with_suffix(".key").write_bytes(private)
    return file


@asynccontextmanager
async def behind_tls(server: str, root: Path) -> AsyncIterator[int]:
    """The port where the server at this socket is reached over TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(root, root.with_suffix(".key"))

    serving: list[asyncio.Task[None] | None] = []
    open_ends: list[StreamWriter] = []

    async def serve(client: StreamReader, answers: StreamWriter) -> None:
        serving.append(asyncio.current_task())
        open_ends.append(answers)
        with suppress(OSError, IncompleteReadError):  # who does not trust it leaves
            await client.readexactly(_REQUEST)
            answers.write(b"S")
            await answers.start_tls(context)
            behind, questions = await asyncio.open_unix_connection(server)
            open_ends.append(questions)
            await asyncio.gather(_pass_on(client, questions), _pass_on(behind, answers))

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener:
        yield listener.sockets[0].getsockname()[1]
    for end in open_ends:
        end.transport.abort()
    await asyncio.gather(*filter(None, serving))


async def _pass_on(source: StreamReader, target: StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.close()
