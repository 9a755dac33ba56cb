"""Every setting of the engine is documented, has the promised default, and is refused clearly when it cannot work."""

import re

import pytest

from service.engine.foundation.settings import Settings
from tests.engine.kit.commands import PROJECT, SECRET_KEY, Commands

DEFAULTS = {
    "ENVIRONMENT": "development",
    "HOST": "127.0.0.1",
    "PORT": 8000,
    "WEB_CONCURRENCY": 1,
    "DATABASE_URL": None,
    "DATABASE_POOL_SIZE": 5,
    "DATABASE_POOL_TIMEOUT": 5,
    "DATABASE_SERVICE_USER": None,
    "DATABASE_SERVICE_PASSWORD": None,
    "VALKEY_URL": None,
    "SECRET_KEY": None,
    "JWKS_URL": None,
    "JWT_ISSUER": None,
    "JWT_AUDIENCE": None,
    "JWT_SCOPE_CLAIM": ("scope",),
    "JWT_SUBJECT_TYPE": "integer",
    "ALLOWED_ORIGINS": (),
    "KEEP_ALIVE": 75,
    "FORWARDED_ALLOW_IPS": ("127.0.0.1",),
    "HEARTBEAT_INTERVAL": 30,
    "HEARTBEAT_TIMEOUT": 10,
    "SEND_TIMEOUT": 10,
    "MAX_OUTBOX_BYTES": 1_048_576,
    "MAX_MESSAGE_BYTES": 65_536,
    "RATE_LIMIT": 20,
    "RATE_LIMIT_BURST": 40,
    "MAX_CONNECTIONS": 10_000,
    "MAX_CONNECTIONS_PER_USER": 20,
    "DRAIN_SECONDS": 20,
    "DEMO_ENDPOINTS": None,
    "LOG_LEVEL": "INFO",
    "LOG_FORMAT": None,
}


def names_in_code() -> set[str]:
    return {name.upper() for name in Settings.model_fields}


def documented_in_example() -> dict[str, str]:
    """Names and values of `.env.example`, commented out or not."""
    lines = (PROJECT / ".env.example").read_text().splitlines()
    return {match[1]: match[2].strip() for line in lines if (match := re.fullmatch(r"#? ?([A-Z][A-Z_]+)=(.*)", line))}


def test_the_settings_are_those_of_the_contract() -> None:
    assert names_in_code() == set(DEFAULTS)


@pytest.mark.parametrize(("name", "default"), DEFAULTS.items())
def test_a_default_is_the_promised_one(name: str, default: object, monkeypatch: pytest.MonkeyPatch) -> None:
    for known in DEFAULTS:
        monkeypatch.delenv(known, raising=False)
    assert getattr(Settings(), name.lower()) == default


def test_the_example_file_names_every_setting() -> None:
    assert names_in_code() - set(documented_in_example()) == set()


@pytest.mark.parametrize("name", [name for name, default in DEFAULTS.items() if default not in (None, ())])
def test_documented_defaults_are_true(name: str) -> None:
    default = DEFAULTS[name]
    promised = ",".join(default) if isinstance(default, tuple) else str(default)
    assert documented_in_example()[name] == promised


def test_the_example_file_holds_no_secret() -> None:
    assert documented_in_example()["SECRET_KEY"] in {"", "change-me"}


PRODUCTION = {"ENVIRONMENT": "production", "SECRET_KEY": SECRET_KEY, "DATABASE_URL": "postgresql://nobody@localhost/x"}
REFUSED: list[tuple[str, dict[str, str]]] = [
    ("ENVIRONMENT", {"ENVIRONMENT": "prod"}),
    ("PORT", {"PORT": "http"}),
    ("PORT", {"PORT": "70000"}),
    ("PORT", {"PORT": "-1"}),
    ("WEB_CONCURRENCY", {"WEB_CONCURRENCY": "0"}),
    ("WEB_CONCURRENCY", {"WEB_CONCURRENCY": "two"}),
    ("DATABASE_URL", {"DATABASE_URL": "mysql://localhost/x"}),
    ("DATABASE_URL", {"DATABASE_URL": "not a url"}),
    ("DATABASE_URL", {"DATABASE_URL": "postgresql://localhost:port/x"}),
    ("DATABASE_URL", {"ENVIRONMENT": "production", "DATABASE_URL": ""}),
    ("DATABASE_POOL_SIZE", {"DATABASE_POOL_SIZE": "0"}),
    ("DATABASE_POOL_TIMEOUT", {"DATABASE_POOL_TIMEOUT": "-1"}),
    ("DATABASE_SERVICE_USER", {"DATABASE_SERVICE_PASSWORD": "secret"}),
    ("VALKEY_URL", {"VALKEY_URL": "localhost"}),
    ("SECRET_KEY", {"ENVIRONMENT": "production", "SECRET_KEY": ""}),
    ("SECRET_KEY", {"ENVIRONMENT": "staging", "SECRET_KEY": "short"}),
    ("SECRET_KEY", {"ENVIRONMENT": "production", "SECRET_KEY": f"{SECRET_KEY},short"}),
    ("SECRET_KEY", {"ENVIRONMENT": "production", "SECRET_KEY": f"change-me-{'x' * 40}"}),
    ("SECRET_KEY", {"SECRET_KEY": ","}),
    ("JWKS_URL", {"ENVIRONMENT": "production", "JWKS_URL": "http://example.com/keys"}),
    ("JWT_SUBJECT_TYPE", {"JWT_SUBJECT_TYPE": "uuid"}),
    ("ALLOWED_ORIGINS", {"ALLOWED_ORIGINS": "example.com"}),
    ("ALLOWED_ORIGINS", {"ALLOWED_ORIGINS": "https://*"}),
    ("ALLOWED_ORIGINS", {"ALLOWED_ORIGINS": "*"}),
    ("ALLOWED_ORIGINS", {"ALLOWED_ORIGINS": "https://example.com/path"}),
    ("ALLOWED_ORIGINS", {"ALLOWED_ORIGINS": "https://example.com:port"}),
    ("KEEP_ALIVE", {"KEEP_ALIVE": "0"}),
    ("KEEP_ALIVE", {"KEEP_ALIVE": "-1"}),
    ("FORWARDED_ALLOW_IPS", {"FORWARDED_ALLOW_IPS": "proxy.internal"}),
    ("HEARTBEAT_INTERVAL", {"HEARTBEAT_INTERVAL": "-1"}),
    ("HEARTBEAT_INTERVAL", {"HEARTBEAT_INTERVAL": "nan"}),
    ("HEARTBEAT_INTERVAL", {"HEARTBEAT_INTERVAL": "inf"}),
    ("HEARTBEAT_INTERVAL", {"HEARTBEAT_INTERVAL": "3e6"}),
    ("HEARTBEAT_TIMEOUT", {"HEARTBEAT_TIMEOUT": "0"}),
    ("SEND_TIMEOUT", {"SEND_TIMEOUT": "0"}),
    ("MAX_OUTBOX_BYTES", {"MAX_OUTBOX_BYTES": "0"}),
    ("MAX_OUTBOX_BYTES", {"MAX_OUTBOX_BYTES": "1 MB"}),
    ("MAX_MESSAGE_BYTES", {"MAX_MESSAGE_BYTES": "-5"}),
    ("MAX_ENTRY_LENGTH", {"MAX_ENTRY_LENGTH": "0"}),
    ("RATE_LIMIT", {"RATE_LIMIT": "-1"}),
    ("RATE_LIMIT_BURST", {"RATE_LIMIT": "5", "RATE_LIMIT_BURST": "0"}),
    ("MAX_CONNECTIONS", {"MAX_CONNECTIONS": "0"}),
    ("MAX_CONNECTIONS_PER_USER", {"MAX_CONNECTIONS_PER_USER": "none"}),
    ("DRAIN_SECONDS", {"DRAIN_SECONDS": "-0.5"}),
    ("DEMO_ENDPOINTS", {"DEMO_ENDPOINTS": "perhaps"}),
    ("LOG_LEVEL", {"LOG_LEVEL": "LOUD"}),
    ("LOG_FORMAT", {"LOG_FORMAT": "xml"}),
]


@pytest.mark.parametrize(("name", "settings"), REFUSED, ids=lambda value: str(value)[:60])
def test_a_setting_that_cannot_work_stops_every_command_in_one_line(
    commands: Commands, name: str, settings: dict[str, str]
) -> None:
    refused = commands.run_here("token", "--user", "1", **PRODUCTION | {"ENVIRONMENT": "development"} | settings)
    assert refused.returncode != 0
    assert refused.stdout == ""
    assert len(refused.stderr.splitlines()) == 1, refused.stderr
    assert name in refused.stderr
    assert SECRET_KEY not in refused.stderr


@pytest.mark.parametrize(("name", "settings"), REFUSED[:2] + REFUSED[-2:])
def test_a_setting_that_cannot_work_stops_the_start_without_a_traceback(
    commands: Commands, name: str, settings: dict[str, str]
) -> None:
    refused = commands.run("serve", **PRODUCTION | settings)
    assert refused.returncode != 0
    assert refused.stdout == ""
    assert len(refused.stderr.splitlines()) == 1, refused.stderr
    assert name in refused.stderr


def test_every_wrong_setting_is_named_at_once(commands: Commands) -> None:
    refused = commands.run_here("token", "--user", "1", ENVIRONMENT="production", PORT="x", LOG_LEVEL="x")
    assert refused.returncode != 0
    assert {"PORT", "LOG_LEVEL"} <= set(re.findall(r"[A-Z_]{4,}", refused.stderr))


def test_everything_missing_in_production_is_named_at_once(commands: Commands) -> None:
    refused = commands.run_here("token", "--user", "1", ENVIRONMENT="production")
    assert refused.returncode != 0
    assert {"DATABASE_URL", "SECRET_KEY"} <= set(re.findall(r"[A-Z_]{4,}", refused.stderr))


def test_no_setting_is_read_behind_the_back_of_the_settings() -> None:
    engine = PROJECT / "service" / "engine"
    readers = {
        path.relative_to(engine).as_posix()
        for path in engine.rglob("*.py")
        if re.search(r"os\.environ|os\.getenv|getenv\(", path.read_text())
    }
    for_libraries = {
        "application/server.py",
        "application/variables.py",
        "foundation/metrics.py",
        "observability/outlets.py",
        "storage/connecting.py",
    }
    assert readers <= {"foundation/settings.py"} | for_libraries
