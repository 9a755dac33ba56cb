"""The engine's schema is a branch of its own next to the application's: neither update meets the other."""

import shutil
from pathlib import Path

import pytest

from tests.engine.kit.commands import PROJECT, SECRET_KEY, Commands
from tests.engine.kit.fixture_types import Connect, StartService
from tests.engine.kit.postgres import Address, Database
from tests.engine.kit.tokens import bearer
from tests.engine.rooms import enter

VERSIONS = "select version_num from {}"
TABLES = "select table_name from information_schema.tables where table_schema = 'public'"
NEW_REVISION = '''
"""What an update brings."""

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table("brought_by_an_update", sa.Column("id", sa.Integer, primary_key=True))
'''
AS_BEFORE = """
    drop table engine_version, applied_revisions, presence, presence_versions, presence_processes;
    alter table tickets drop column claims;
    alter table streams alter column name type varchar(300);
    update streams set name = replace(name, '/', ':')
"""
"""As a project made it whose first revisions had the engine's tables in them."""


def version(database: Database, table: str) -> str:
    return str(database.value(VERSIONS.format(table)))


def migrate(commands: Commands, database: Database, **settings: str) -> str:
    """Bring a database up to date; what the command says."""
    migrated = commands.run("migrate", DATABASE_URL=database.url, SECRET_KEY=SECRET_KEY, **settings)
    assert migrated.returncode == 0, migrated.stderr
    return migrated.stdout


@pytest.fixture
def updated_engine(tmp_path: Path) -> str:
    """Where the engine is found that has one migration more."""
    engine = tmp_path / "service" / "engine"
    shutil.copytree(PROJECT / "service" / "engine", engine, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    (tmp_path / "service" / "__init__.py").touch()
    versions = engine / "storage" / "migrations" / "versions"
    head = max(path.name[:4] for path in versions.glob("[0-9]*.py"))
    (versions / "9999_what_an_update_brings.py").write_text(NEW_REVISION.format(head=head).lstrip())
    return f"{tmp_path}:{PROJECT}"


def test_each_branch_has_a_version_table_of_its_own(database: Database) -> None:
    assert len(database.rows(VERSIONS.format("engine_version"))) == 1
    assert database.rows(VERSIONS.format("alembic_version")) == [("0001",)]


def test_a_new_migration_of_the_engine_is_applied_and_leaves_the_applications_alone(
    database: Database, commands: Commands, updated_engine: str
) -> None:
    database.execute("insert into entries (room_id, seq, author_id, body) values (1, 1, '1', 'kept')")
    before = version(database, "engine_version")
    assert before != "9999"
    migrate(commands, database, PYTHONPATH=updated_engine)
    assert version(database, "engine_version") == "9999"
    assert version(database, "alembic_version") == "0001"
    assert "brought_by_an_update" in {name for (name,) in database.rows(TABLES)}
    assert database.rows("select body from entries") == [("kept",)]


def test_both_branches_are_applied_to_an_empty_database_at_once(
    postgres: Address, commands: Commands, updated_engine: str
) -> None:
    database = postgres.create_database(migrated=False)
    migrate(commands, database, PYTHONPATH=updated_engine)
    assert (version(database, "engine_version"), version(database, "alembic_version")) == ("9999", "0001")
    assert {"streams", "entries", "brought_by_an_update"} <= {name for (name,) in database.rows(TABLES)}


def test_an_earlier_version_leaves_a_newer_schema_as_it_is_and_says_so(
    database: Database, commands: Commands, updated_engine: str
) -> None:
    """When a deploy is taken back."""
    migrate(commands, database, PYTHONPATH=updated_engine)
    assert "newer than this version" in migrate(commands, database)
    assert version(database, "engine_version") == "9999"


def test_a_history_that_is_none_of_ours_is_refused_in_one_line(database: Database, commands: Commands) -> None:
    database.execute("update engine_version set version_num = 'abcd'; delete from applied_revisions")
    refused = commands.run("migrate", DATABASE_URL=database.url, SECRET_KEY=SECRET_KEY)
    assert refused.returncode != 0
    (line,) = refused.stderr.splitlines()
    assert "abcd" in line


async def test_a_database_from_before_the_engine_had_a_branch_is_taken_along(
    database: Database, commands: Commands, start_service: StartService, connect: Connect
) -> None:
    """With its streams, whose names had another form."""
    database.execute(
        "insert into entries (room_id, seq, author_id, body) values (7, 1, '1', 'first'), (7, 2, '2', 'second')"
    )
    database.execute("insert into letters (user_id, seq, data) values ('1', 1, '{}')")
    database.execute("insert into revocations (user_id, revoked_at) values ('99', now() + interval '1 hour')")
    database.execute("insert into streams (name, last_seq) values ('rooms/7', 2), ('letters/1', 1)")
    database.execute(AS_BEFORE)
    database.execute("insert into streams (name, last_seq) values ('letters:auth0|a/b', 3), ('letters:50%%:x', 4)")
    for _ in range(2):
        migrate(commands, database)
        assert sorted(database.rows("select name, last_seq from streams")) == [
            ("letters/1", 1),
            ("letters/50%25:x", 4),
            ("letters/auth0|a%2Fb", 3),
            ("rooms/7", 2),
        ]
    service = start_service(database=database)
    client = await connect(service, "/ws/rooms/7", user=1, after=0)
    assert [message["seq"] for message in await client.receive_until("caught_up")] == [1, 2, 2]
    assert (await enter(client, "third"))["seq"] == 3
    assert service.get("/api/letters", headers=bearer(1)).json()["last_seq"] == 1
    assert service.get("/api/letters", headers=bearer(99)).status_code == 401, "who was thrown out stays out"
    assert service.get("/readyz").status_code == 200
