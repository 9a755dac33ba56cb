"""A database that is trusted only when it shows who it is: `sslmode=verify-full` with roots of one's own."""

import asyncio
from pathlib import Path

import psycopg
import pytest

from service.engine.storage.connecting import connect, connect_for_migrations
from tests.engine.database.tls import behind_tls, make_root
from tests.engine.kit.postgres import Address, Database

HOST, ELSEWHERE = "localhost", "db.example.com"
REFUSED = "certificate verify failed|does not match"


def url(database: Database, port: int, root: Path) -> str:
    where = f"{HOST}:{port}/{database.name}?hostaddr=127.0.0.1"
    return f"postgresql://postgres@{where}&sslmode=verify-full&sslrootcert={root}"


async def test_who_serves_and_who_migrates_connects_to_a_server_that_proves_its_name(
    postgres: Address, database: Database, tmp_path: Path
) -> None:
    root = make_root(tmp_path, HOST)
    async with behind_tls(f"{postgres.socket_directory}/.s.PGSQL.5432", root) as port:
        address = url(database, port, root)
        async with await connect(address) as serving:
            assert serving.pgconn.ssl_in_use
        with await asyncio.to_thread(connect_for_migrations, address) as migrating:
            assert migrating.pgconn.ssl_in_use


@pytest.mark.parametrize(
    ("shown", "trusted"), [(HOST, ELSEWHERE), (ELSEWHERE, ELSEWHERE)], ids=["another root", "another name"]
)
async def test_nobody_connects_to_another(
    postgres: Address, database: Database, tmp_path: Path, shown: str, trusted: str
) -> None:
    roots = {name: make_root(tmp_path, name) for name in (HOST, ELSEWHERE)}
    async with behind_tls(f"{postgres.socket_directory}/.s.PGSQL.5432", roots[shown]) as port:
        address = url(database, port, roots[trusted])
        with pytest.raises(psycopg.OperationalError, match=REFUSED):
            await connect(address)
        with pytest.raises(psycopg.OperationalError, match=REFUSED):
            await asyncio.to_thread(connect_for_migrations, address)
