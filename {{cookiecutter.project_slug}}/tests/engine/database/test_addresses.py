"""One reader for an address, the library that connects, and one verdict before anything starts."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from service.engine.foundation.addresses import check_postgres, check_valkey
from service.engine.foundation.settings import Settings, load_settings
from service.engine.storage.connecting import connect, connect_for_migrations
from tests.engine.kit.commands import SECRET_KEY, Commands
from tests.engine.kit.fixture_types import StartService
from tests.engine.kit.postgres import Address, Database

SECRET = "Tr0ub4dor"
TAKEN = [
    "postgres://h/d",
    "postgresql://h/d",
    "postgresql://",
    "postgresql:///d?host=/var/run/postgresql",
    "postgresql://%2Fvar%2Frun%2Fpostgresql/d",
    "postgresql://u:p@one:5432,two:5433,[::1]/d?target_session_attrs=read-write&load_balance_hosts=random",
    "postgresql://one,two/d?port=5432",
    "postgresql:///d?hostaddr=127.0.0.1,::1&port=5432,5433",
    "postgresql://u:%25%40%2F%3A%3F%23%5B%5D%20%27%22@h/d",
    "postgresql://u:p[a]?#:&=$!*'(~)@h/d",
    "postgresql://[::1]:5432/d",
    "postgresql://h/a%20name?application_name=a%20name@home",
    "postgresql://h/d?sslmode=verify-full&sslrootcert=system&channel_binding=require",
    "postgresql://h/d?ssl=true",
    "postgresql://h/d?gssencmode=require",
    "postgresql://h/d?connect_timeout=10&keepalives_idle=30",
    "postgresql://h/d?options=-csearch_path%3Da%20-cstatement_timeout%3D5s",
]
REFUSED = {
    f"postgresql://app:{SECRET}%cky@h/d": "%25",
    f"postgresql://app:{SECRET}@h/d?options=-csearch_path=app": "in the value of options, write = as %3D",
    f"postgresql://app:{SECRET}@one,two/d?hostaddr=192.0.2.1": "as many servers",
    f"postgresql://app:{SECRET}@one/d?hostaddr=nonsense": "hostaddr must be addresses",
    f"postgresql://app:{SECRET}%00@h/d": "%25",
    f"postgresql://app:{SECRET}%E4@h/d": "cannot be read",
    f"postgresql://app:{SECRET} x@h/d": "cannot be read",
    f"postgresql://app:x@{SECRET}@h/d": "%40",
    f"postgresql://app:{SECRET}/x@h/d": "%2F",
    f"postgresql://app:1234/{SECRET}@h/d": "%2F",
    f"postgresql://app:1234/x?{SECRET}@h/d": "cannot be read",
    f"postgresql://app:{SECRET}@[::1/d": "cannot be read",
    f"postgresql://app:{SECRET}@h/d?pgbouncer=true": "pgbouncer",
    f"postgresql://app:{SECRET}@h/d?schema=public": "schema",
    f"postgresql://app:{SECRET}@h/d?sslmode={SECRET}": "sslmode",
    f"postgresql://app:{SECRET}@h/d?sslmode": "cannot be read",
    f"postgresql://app:{SECRET}@h/d?service={SECRET}": "service",
    f"postgresql://app:{SECRET}@h:99999/d": "port",
    f"postgresql://app:{SECRET}@h:{SECRET}/d": "port",
    f"postgresql://app:{SECRET}@one,two/d?port=1,2,3": "port",
    f"postgresql://app:{SECRET}@h/d?connect_timeout={SECRET}": "connect_timeout",
    f"postgresql://app:{SECRET}@h/d?tcp_user_timeout={SECRET}": "tcp_user_timeout",
    f"postgresql+asyncpg://app:{SECRET}@h/d": "postgresql://",
    f"jdbc:postgresql://h/d?user=app&password={SECRET}": "postgresql://",
    f'"postgresql://app:{SECRET}@h/d"': "postgresql://",
    f"host=h user=app password={SECRET}": "postgresql://",
}


@pytest.mark.parametrize("url", TAKEN)
def test_what_libpq_takes_is_taken(url: str) -> None:
    check_postgres(url)


@pytest.mark.parametrize(("url", "why"), REFUSED.items())
def test_what_libpq_would_not_take_is_refused_before_anything_starts(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)) as refused:
        check_postgres(url)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "command", [("serve",), ("migrate",), ("token", "--user", "1")], ids=lambda command: command[0]
)
@pytest.mark.parametrize("url", [*list(REFUSED)[:2], f"postgresql://app:{SECRET}@h/d?pgbouncer=true"])
def test_every_command_has_the_same_verdict(commands: Commands, command: tuple[str, ...], url: str) -> None:
    refused = commands.run_here(*command, DATABASE_URL=url, SECRET_KEY=SECRET_KEY, ENVIRONMENT="production")
    assert (refused.returncode, refused.stdout) == (2, "")
    (line,) = refused.stderr.splitlines()
    assert "DATABASE_URL: " in line
    assert SECRET not in line


WAYS: dict[str, Callable[[Database, str], str]] = {
    "in the query": lambda database, where: f"postgresql://postgres@/{database.name}?host={quote(where)}",
    "in the query, twice": lambda database, where: f"postgres://postgres@h/{database.name}?host={quote(where)}",
    "in place of the host": lambda database, where: f"postgres://postgres@{quote(where, safe='')}/{database.name}",
    "the second of two": lambda database, where: (
        f"postgresql://postgres@%2Fnowhere,{quote(where, safe='')}/{database.name}?target_session_attrs=read-write"
    ),
    "all in the query": lambda database, where: (
        f"postgresql://?host={quote(where)}&user=postgres&dbname={database.name}&password=%25%40%2F"
    ),
}


@pytest.mark.parametrize("way", WAYS)
async def test_every_way_to_write_it_leads_to_the_same_database(postgres: Address, way: str) -> None:
    database = postgres.create_database(migrated=False)
    url = WAYS[way](database, postgres.socket_directory)
    check_postgres(url)
    async with await connect(url) as connection:
        assert connection.info.dbname == database.name
    with await asyncio.to_thread(connect_for_migrations, url) as blocking:
        assert blocking.info.dbname == database.name


async def test_an_option_of_the_url_wins_but_for_the_encoding(database: Database) -> None:
    url = f"{database.url}&client_encoding=LATIN1&application_name=mine&options=-cstatement_timeout%3D7s"
    async with await connect(url) as connection:
        assert connection.info.encoding == "utf-8"
        shown = await connection.execute(
            "select current_setting('application_name'), current_setting('statement_timeout')"
        )
        assert await shown.fetchone() == ("mine", "7s")


SURROUNDED = ["{}\n", "{}\r\n", " {}\t", "\n{}", "{}\u00a0"]


@pytest.mark.parametrize("around", SURROUNDED, ids=ascii)
def test_white_space_around_a_value_is_none_of_it(monkeypatch: pytest.MonkeyPatch, around: str) -> None:
    values = {
        "ENVIRONMENT": "production",
        "PORT": "8001",
        "DATABASE_URL": "postgresql://h/d",
        "VALKEY_URL": "valkey://h",
        "SECRET_KEY": SECRET_KEY,
        "JWKS_URL": "https://example.com/keys",
        "JWT_SUBJECT_TYPE": "string",
        "ALLOWED_ORIGINS": "https://example.com , https://example.org",
        "RATE_LIMIT": "2.5",
        "DEMO_ENDPOINTS": "true",
        "LOG_LEVEL": "debug",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    plain = Settings()
    for name, value in values.items():
        monkeypatch.setenv(name, around.format(value))
    assert Settings() == plain
    assert plain.secret_keys == (SECRET_KEY,)


@pytest.mark.parametrize("blank", ["", " ", "\n", "\r\n", "\t \n"], ids=ascii)
def test_a_blank_value_is_none(commands: Commands, blank: str) -> None:
    blanks = dict.fromkeys((name.upper() for name in Settings.model_fields), blank)
    printed = commands.run_here("token", "--user", "1", **blanks | {"SECRET_KEY": SECRET_KEY})
    assert (printed.returncode, printed.stderr) == (0, "")


@pytest.mark.parametrize("environment", ["", " ", "development\n"], ids=ascii)
def test_a_blank_environment_is_development_which_reads_its_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("PORT=4711\n")
    monkeypatch.delenv("PORT", raising=False)
    monkeypatch.setenv("ENVIRONMENT", environment)
    assert load_settings(Settings).port == 4711


def test_a_service_lives_with_line_ends_in_its_settings(start_service: StartService, database: Database) -> None:
    service = start_service(database=database, DATABASE_URL=f" {database.url}\r\n", ENVIRONMENT="production\n")
    assert service.get("/readyz").status_code == 200


VALKEYS_REFUSED = {
    f"redis://:{SECRET}/x@h": "%2F",
    f"redis://:{SECRET}#x@h": "cannot be read",
    f"redis://:[{SECRET}]@h": "cannot be read",
    f"redis://:{SECRET}@h:99999": "cannot be read",
    f"redis://:{SECRET}@h?socket_timeout={SECRET}": "cannot be read",
    f"redis://:{SECRET}@h?skip_verify=true": "skip_verify",
    f"redis://:{SECRET}@h?ssl_cert_reqs=none": "ssl_cert_reqs",
    f"rediss://:{SECRET}@h?ssl_cert_reqs={SECRET}": "cannot be read",
    f"http://:{SECRET}@h": "valkey://",
}


@pytest.mark.parametrize("url", ["redis://h", "rediss://:p%40@h:6380/1?ssl_cert_reqs=none", "valkey://[::1]:6379"])
def test_what_the_client_of_valkey_takes_is_taken(url: str) -> None:
    check_valkey(url)


@pytest.mark.parametrize(("url", "why"), VALKEYS_REFUSED.items())
def test_what_it_would_not_take_is_refused_before_anything_starts(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)) as refused:
        check_valkey(url)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["https://", "https:///keys", "https://[::1/keys", "https://h:port/keys", f"https://u:{SECRET}@h/keys"]
)
def test_the_address_of_keys_has_a_host(commands: Commands, url: str) -> None:
    refused = commands.run_here("token", "--user", "1", JWKS_URL=url, SECRET_KEY=SECRET_KEY)
    assert refused.returncode == 2
    assert "JWKS_URL" in refused.stderr
    assert SECRET not in refused.stderr
