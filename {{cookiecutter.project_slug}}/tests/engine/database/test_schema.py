"""A schema that is not what `migrate` expects: newer, somebody else's, in two minds, or next to a neighbour's."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.database.team import APPLICATION, Team
from tests.engine.kit.commands import PROJECT, SECRET_KEY, plain_environment
from tests.engine.kit.fixture_types import Number
from tests.engine.kit.postgres import Address, Database

MODELS = '''
"""Its tables."""

from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from service.engine.foundation.wire import UserId
from service.engine.storage.rows import Model


class ProfileModel(Model):
    """What users say of themselves."""

    __tablename__ = "profiles"

    user_id: Mapped[UserId] = mapped_column(primary_key=True)
    friend_id: Mapped[UserId | None]
    data: Mapped[dict[str, Any]]
'''


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: Number) -> Team:
    monkeypatch.syspath_prepend(tmp_path)
    return Team(tmp_path, f"team_{number()}")


@pytest.fixture
def empty(postgres: Address) -> Database:
    return postgres.create_database(migrated=False)


def version(database: Database, table: str = "alembic_version") -> list[str]:
    return sorted(name for (name,) in database.rows(f"select version_num from {table}"))


def test_a_deploy_that_is_taken_back_finds_a_newer_schema_and_goes_on(team: Team, empty: Database) -> None:
    team.write("a1", None)
    assert team.succeeds(empty) == ""
    newer = [team.write("a2", "a1"), team.write("a3", "a2")]
    assert team.succeeds(empty) == ""
    for path in newer:
        path.unlink()
    (line,) = team.succeeds(empty).splitlines()
    assert "application's schema is newer than this version, nothing to do" in line
    assert version(empty) == ["a3"]
    team.write("a2", "a1")
    assert "newer" in team.succeeds(empty), "nor does one half-way matter"
    team.write("a3", "a2")
    assert team.succeeds(empty) == ""


def test_so_does_one_that_takes_the_engine_back(team: Team, empty: Database) -> None:
    team.write("a1", None)
    team.succeeds(empty)
    empty.execute("update engine_version set version_num = '9999'")
    empty.execute("insert into applied_revisions (branch, revision) values ('engine', '9999')")
    (line,) = team.succeeds(empty).splitlines()
    assert "engine's schema is newer than this version, nothing to do" in line
    team.write("a2", "a1")
    assert "newer" in team.succeeds(empty)
    assert version(empty) == ["a2"], "what is the application's is brought up to date all the same"


def test_a_fix_made_on_the_earlier_version_is_no_part_of_the_newer_schema(team: Team, empty: Database) -> None:
    team.write("a1", None)
    team.succeeds(empty)
    newer = team.write("a2", "a1")
    team.succeeds(empty)
    newer.unlink()
    team.write("fix", "a1")
    assert "a2" in team.refused(empty)
    assert version(empty) == ["a2"]


@pytest.mark.parametrize("table", ["alembic_version", "engine_version"])
def test_somebody_elses_revision_is_refused(team: Team, empty: Database, table: str) -> None:
    team.write("a1", None)
    team.succeeds(empty)
    empty.execute(f"update {table} set version_num = 'theirs'")
    assert "the database has the revision theirs" in team.refused(empty)
    assert version(empty, table) == ["theirs"]


def test_so_is_an_alembic_history_that_was_there_before_us(team: Team, empty: Database) -> None:
    empty.execute("create table alembic_version (version_num varchar(32) primary key)")
    empty.execute("insert into alembic_version values ('theirs')")
    team.write("a1", None)
    assert "theirs" in team.refused(empty)


def test_two_heads_are_refused_until_they_are_merged(team: Team, empty: Database) -> None:
    team.write("a1", None)
    team.succeeds(empty)
    team.write("mine", "a1")
    team.write("yours", "a1")
    line = team.refused(empty)
    assert "mine" in line
    assert "yours" in line
    assert version(empty) == ["a1"]
    team.write("merged", ("mine", "yours"))  # type: ignore[arg-type]
    assert team.succeeds(empty) == ""
    assert version(empty) == ["merged"]


def test_two_migrations_of_one_name_are_refused(team: Team, empty: Database) -> None:
    """Alembic would apply one of them."""
    team.write("a1", None)
    team.write("a2", "a1", file="mine")
    team.write("a2", "a1", file="yours")
    assert "a2 is present more than once" in team.refused(empty)


@pytest.mark.parametrize(("parent", "why"), [("gone", "gone"), ("a1", "loop")])
def test_a_history_with_a_hole_or_a_loop_is_refused(team: Team, empty: Database, parent: str, why: str) -> None:
    team.write("a1", parent)
    assert why in team.refused(empty)


def test_a_statement_that_fails_is_one_line_and_changes_nothing(team: Team, empty: Database) -> None:
    team.write("a1", None, 'op.execute("create table half (id int)"); op.execute("select 1/0")')
    assert "division by zero" in team.refused(empty)
    assert empty.value("select to_regclass('half')") is None


def test_no_right_to_make_tables_is_one_line(team: Team, empty: Database) -> None:
    empty.execute("do $$ begin create role newcomer login; exception when duplicate_object then null; end $$")
    line = team.refused(Database(empty.url.replace("postgres@", "newcomer@"), empty.name, team.name))
    assert "permission denied for schema public" in line


def test_a_server_that_only_reads_is_one_line(team: Team, empty: Database) -> None:
    empty.execute(f"alter database {empty.name} set default_transaction_read_only = on")
    assert "read-only transaction" in team.refused(empty)


def test_an_encoding_without_a_way_to_unicode_is_one_line(team: Team, postgres: Address) -> None:
    database = postgres.database("mule")
    postgres.database("postgres").execute("drop database if exists mule")
    postgres.database("postgres").execute(
        "create database mule encoding 'MULE_INTERNAL' template template0 lc_collate 'C' lc_ctype 'C'"
    )
    assert "MULE_INTERNAL" in team.refused(database)


def test_a_neighbours_tables_are_not_taken_for_ours(team: Team, empty: Database) -> None:
    """Whose schema is searched too, for an extension that is there say."""
    team.write("a1", None)
    team.succeeds(empty)
    empty.execute("create schema own")
    searched = {
        path: Database(f"{empty.url}&options=-csearch_path%3D{path}", empty.name, team.name)
        for path in ("own", "own,public")
    }
    line = team.refused(searched["own,public"])
    assert "in the schema public" in line
    assert "search_path%3Down" in line
    team.succeeds(searched["own"])
    team.succeeds(searched["own,public"])
    tables = "select schemaname::text from pg_tables where tablename = 'streams' order by 1"
    assert empty.rows(tables) == [("own",), ("public",)]


def test_a_schema_may_have_any_name(team: Team, empty: Database) -> None:
    team.write("a1", None)
    empty.execute('create schema "My.Own Tables"')
    empty.execute(f'alter database {empty.name} set search_path = "My.Own Tables", public')
    team.succeeds(empty)
    tables = "select schemaname::text from pg_tables where tablename = 'streams'"
    assert empty.rows(tables) == [("My.Own Tables",)]


def test_two_at_once_are_no_deadlock_with_an_index_that_is_made_concurrently(team: Team, empty: Database) -> None:
    """It waits for every statement that began before it, so nobody may wait for it inside one."""
    team.write("a1", None, 'op.execute("create table big (id int)")')
    team.write(
        "a2",
        "a1",
        "\n    ".join(
            (
                "with op.get_context().autocommit_block():",
                '    op.execute("select pg_sleep(0.5)")',
                '    op.execute("create index concurrently big_id on big (id)")',
            )
        ),
    )
    team.succeeds_at_once(empty, 2)
    assert version(empty) == ["a2"]


def test_autogenerate_leaves_alone_what_is_in_no_model_and_what_it_writes_runs(team: Team, empty: Database) -> None:
    team.write("a1", None)
    team.succeeds(empty)
    empty.execute("create table invoices (id int primary key, note text)")
    (team.package / "models.py").write_text(MODELS.lstrip())
    (team.package / "app.py").write_text(f"import {team.name}.models  # noqa: F401\n{APPLICATION.lstrip()}")
    (team.directory / "pyproject.toml").write_text(f'[tool.alembic]\nscript_location = "{team.name}/migrations"\n')
    environment = plain_environment(DATABASE_URL=empty.url, SECRET_KEY=SECRET_KEY)
    environment["PYTHONPATH"] = f"{team.directory}:{PROJECT}"
    for command in (["revision", "--autogenerate", "-m", "profiles"], ["upgrade", "head"], ["check"]):
        done = subprocess.run(
            [sys.executable, "-m", "alembic", *command],
            cwd=team.directory,
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    (written,) = (path for path in team.versions.glob("*.py") if path.name != "a1.py")
    code = written.read_text()
    assert "drop_" not in code.partition("def downgrade")[0]
    assert "service" not in code, "a migration outlives the code"
    assert empty.rows(
        "select column_name::text, data_type::text from information_schema.columns where table_name = 'profiles'"
    ) == [("user_id", "character varying"), ("friend_id", "character varying"), ("data", "json")]
    assert empty.value("select count(*) from invoices") == 0
    assert team.succeeds(empty) == ""
