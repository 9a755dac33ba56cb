"""What an operator can set: environment variables, and `.env` in development. An application adds its own."""

import os
import re
from collections.abc import Callable
from enum import StrEnum
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.engine.foundation.addresses import check_postgres, check_valkey, is_web_address
from service.engine.foundation.env_file import EnvFileError, encoding_of

LOCAL_STATE = Path(".local")
"""Where development keeps what it makes at first run: the secret key and the embedded database."""
_ENV_FILE = Path(".env")

SHORTEST_SECRET_KEY = 32
PLACEHOLDER = "change-me"
DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
LONGEST_HEARTBEAT = 1_000_000
"""Seconds: the kernel counts the milliseconds of interval and timeout together in 31 bits (TCP_USER_TIMEOUT)."""
LONGEST_KEEP_ALIVE = 86_400


class Environment(StrEnum):
    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"


class SubjectType(StrEnum):
    """What the `sub` claim of a token has to be."""

    INTEGER = "integer"
    STRING = "string"


class LogLevel(StrEnum):
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


class LogFormat(StrEnum):
    JSON = "json"
    CONSOLE = "console"


class SettingsError(Exception):
    """The settings cannot work. The message is one line that names each variable at fault."""


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def plain_origin(origin: str) -> str:
    """An origin as browsers write it: in lower case, and without the port that its scheme stands for."""
    origin = origin.lower()
    return origin.removesuffix(f":{DEFAULT_PORTS.get(origin.partition('://')[0])}")


def _check_port(url: str) -> None:
    try:
        _ = urlsplit(url).port
    except ValueError:
        raise ValueError("the port must be a number up to 65535") from None


_ORIGIN = re.compile(
    r"(https?://(\*\.)?|(?!(wss?|file):)[a-z][a-z0-9+.-]*://)([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d+)?", re.ASCII
)
"""As browsers write them (RFC 6454 §6.2), other names in Punycode. No page's is of WebSockets or a file's own."""


def _origin(origin: str) -> str:
    if not _ORIGIN.fullmatch(origin.lower()):
        raise ValueError(
            f"{origin[:128]!r} is not an origin, such as https://example.com, https://*.example.com or "
            "capacitor://localhost: nothing follows the name but a port"
        )
    _check_port(origin)
    return plain_origin(origin)


def _proxy(proxy: str) -> str:
    try:
        if proxy != "*":
            ip_network(proxy)
    except ValueError:
        raise ValueError(f"{proxy[:64]!r} is neither an address, nor a network such as 10.0.0.0/16, nor *") from None
    return proxy


def _read_by(check: Callable[[str], None]) -> AfterValidator:
    def checked(url: SecretStr) -> SecretStr:
        check(url.get_secret_value())
        return url

    return AfterValidator(checked)


CommaSeparated = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


def _each(check: Callable[[str], str]) -> AfterValidator:
    return AfterValidator(lambda values: tuple(map(check, values)))


def _host(others: dict[str, Any]) -> str:
    """A container is reached from outside; what a developer tries out is nobody else's business."""
    return "127.0.0.1" if others.get("environment") is Environment.DEVELOPMENT else "0.0.0.0"  # noqa: S104


class Settings(BaseSettings):
    """What the engine needs; each field is the environment variable of the same name in upper case.

    A subclass adds an application's own.
    """

    model_config = SettingsConfigDict(
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )

    environment: Environment = Environment.DEVELOPMENT
    host: Annotated[str, Field(default_factory=_host)]
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    web_concurrency: PositiveInt = 1

    database_url: Annotated[SecretStr, _read_by(check_postgres)] | None = None
    database_pool_size: PositiveInt = 5
    database_pool_timeout: Annotated[float, Field(gt=0)] = 5
    database_service_user: str | None = None
    database_service_password: SecretStr | None = None
    valkey_url: Annotated[SecretStr, _read_by(check_valkey)] | None = None

    secret_key: SecretStr | None = None
    jwks_url: str | None = None
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwt_subject_type: SubjectType = SubjectType.INTEGER
    jwt_scope_claim: Annotated[CommaSeparated, Field(min_length=1)] = ("scope",)
    allowed_origins: Annotated[CommaSeparated, _each(_origin)] = ()

    keep_alive: Annotated[float, Field(gt=0, le=LONGEST_KEEP_ALIVE)] = 75
    forwarded_allow_ips: Annotated[CommaSeparated, _each(_proxy)] = ("127.0.0.1",)
    heartbeat_interval: Annotated[float, Field(ge=0, le=LONGEST_HEARTBEAT)] = 30
    heartbeat_timeout: Annotated[float, Field(ge=0, le=LONGEST_HEARTBEAT)] = 10
    send_timeout: Annotated[float, Field(gt=0)] = 10
    max_outbox_bytes: PositiveInt = 1_048_576
    max_message_bytes: PositiveInt = 65_536
    rate_limit: NonNegativeFloat = 20
    rate_limit_burst: NonNegativeInt = 40
    max_connections: PositiveInt = 10_000
    max_connections_per_user: PositiveInt = 20
    drain_seconds: NonNegativeFloat = 20

    demo_endpoints: bool | None = None
    log_level: Annotated[LogLevel, BeforeValidator(_upper)] = LogLevel.INFO
    log_format: LogFormat | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_white_space(cls, values: dict[str, Any]) -> dict[str, Any]:
        """A file's last line break or a stray blank is no part of a value, and blanks are no value."""
        stripped = {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
        return {name: value for name, value in stripped.items() if value != ""}

    @model_validator(mode="after")
    def _agree_with_each_other(self) -> Self:
        problems = [*self._contradictions(), *([] if self.is_development else self._missing_outside_development())]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _contradictions(self) -> list[str]:
        problems = []
        if self.heartbeat_interval and not self.heartbeat_timeout:
            problems.append("HEARTBEAT_TIMEOUT must be above 0 while HEARTBEAT_INTERVAL is")
        if self.rate_limit and self.rate_limit_burst < 1:
            problems.append("RATE_LIMIT_BURST must be at least 1 while RATE_LIMIT is above 0")
        if self.jwks_url is None and (self.jwt_issuer or self.jwt_audience):
            problems.append("JWT_ISSUER and JWT_AUDIENCE describe an identity provider: set its JWKS_URL too")
        if self.jwks_url is not None:
            schemes = ("https", "http") if self.is_development else ("https",)
            if not is_web_address(self.jwks_url, *schemes):
                problems.append(f"JWKS_URL must be an {' or '.join(schemes)} address")
        if self.database_service_password is not None and self.database_service_user is None:
            problems.append("DATABASE_SERVICE_PASSWORD is that of DATABASE_SERVICE_USER: set both")
        if self.secret_key is not None and not self.secret_keys:
            problems.append("SECRET_KEY holds no key")
        return problems

    def _missing_outside_development(self) -> list[str]:
        problems = []
        if self.database_url is None:
            problems.append(f"DATABASE_URL is required when ENVIRONMENT is {self.environment}")
        if self.secret_key is None and self.jwks_url is None:
            problems.append(f"SECRET_KEY (or JWKS_URL) is required when ENVIRONMENT is {self.environment}")
        if any(len(key.encode()) < SHORTEST_SECRET_KEY for key in self.secret_keys):
            problems.append(f"SECRET_KEY must be {SHORTEST_SECRET_KEY} bytes or more (try: openssl rand -hex 32)")
        if any(key.startswith(PLACEHOLDER) for key in self.secret_keys):
            problems.append("SECRET_KEY is still the placeholder (try: openssl rand -hex 32)")
        return problems

    @property
    def is_development(self) -> bool:
        return self.environment is Environment.DEVELOPMENT

    @cached_property
    def secret_keys(self) -> tuple[str, ...]:
        """The HS256 keys: the first signs, all verify."""
        raw = self.secret_key.get_secret_value() if self.secret_key else ""
        return tuple(key.strip() for key in raw.split(",") if key.strip())

    @property
    def longest_silence(self) -> float:
        """Seconds without a sign of life after which a client counts as gone; 0 when none ever does."""
        return self.heartbeat_interval and self.heartbeat_interval + self.heartbeat_timeout

    @property
    def demo(self) -> bool:
        """Whether the demo endpoints and page are served."""
        return self.is_development if self.demo_endpoints is None else self.demo_endpoints

    @property
    def logs_as_json(self) -> bool:
        return not self.is_development if self.log_format is None else self.log_format is LogFormat.JSON


S = TypeVar("S", bound=Settings)


def load_settings(kind: type[S]) -> S:
    """Read the environment, and `.env` in the working directory when developing.

    Raises:
        SettingsError: A variable is refused, or variables contradict each other.
    """
    developing = os.environ.get("ENVIRONMENT", "").strip() in {"", Environment.DEVELOPMENT}
    try:
        if not developing:
            return kind()
        return kind(_env_file=_ENV_FILE, _env_file_encoding=encoding_of(_ENV_FILE))
    except ValidationError as error:
        raise SettingsError("; ".join(map(_one_problem, error.errors(include_url=False)))) from None
    except EnvFileError as error:
        raise SettingsError(str(error)) from None


def _one_problem(error: Any) -> str:
    variable = str(error["loc"][0]).upper() if error["loc"] else ""
    sentence = str(error["msg"]).removeprefix("Value error, ")
    return f"{variable}: {sentence}" if variable else sentence
