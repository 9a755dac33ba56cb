"""The commands: `python -m service COMMAND`."""

import argparse
import json
import sys

from service.development import development_settings, with_secret_key
from service.settings import Settings, SettingsError, load_settings


def main() -> int:
    """Run one command; a refused argument or setting is one line on stderr."""
    arguments = _parser().parse_args()
    try:
        arguments.run(load_settings(), arguments)
    except (SettingsError, CommandError) as error:
        print(f"python -m service: error: {error}", file=sys.stderr)
        return 2
    return 0


class CommandError(Exception):
    """A command cannot do what it was asked to. The message is one line."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m service", description="The WebSocket service.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="serve until a signal says stop")
    serve.set_defaults(run=_serve)

    migrate = commands.add_parser("migrate", help="bring the schema of DATABASE_URL up to date")
    migrate.set_defaults(run=_migrate)

    token = commands.add_parser("token", help="print a token signed with SECRET_KEY")
    token.add_argument("--user", required=True, help="the user it is for (the claim sub)")
    token.add_argument("--ttl", type=_positive, default=3600, metavar="SECONDS", help="how long it is valid (3600)")
    token.add_argument("--scope", default="", help="what it allows, separated by spaces: notifications:write")
    token.set_defaults(run=_token)

    asyncapi = commands.add_parser("asyncapi", help="print the AsyncAPI document of the WebSocket endpoints")
    asyncapi.set_defaults(run=_asyncapi)
    return parser


def _serve(settings: Settings, _arguments: argparse.Namespace) -> None:
    from service.server import serve  # noqa: PLC0415 - the other commands start faster without a server

    with development_settings(settings) as complete:
        if complete.is_development:
            _try_to_migrate(complete)
            if complete.secret_keys:
                _print_welcome(complete)
        serve(complete)


def _migrate(settings: Settings, _arguments: argparse.Namespace) -> None:
    _bring_up_to_date(settings)


def _try_to_migrate(settings: Settings) -> None:
    try:
        _bring_up_to_date(settings)
    except CommandError as error:  # it may come up later, and /readyz says what is missing
        print(f"python -m service: {error}", file=sys.stderr)


def _bring_up_to_date(settings: Settings) -> None:
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    from service.migrations import migrate  # noqa: PLC0415

    try:
        migrate(settings)
    except SQLAlchemyError as error:
        raise CommandError(f"cannot migrate: {str(error).splitlines()[0]}") from None


def _token(settings: Settings, arguments: argparse.Namespace) -> None:
    from service.auth.principal import user_id  # noqa: PLC0415
    from service.auth.tokens import issue_token  # noqa: PLC0415

    settings = with_secret_key(settings)
    if not settings.secret_keys:
        raise CommandError("SECRET_KEY is unset: tokens are made by the identity provider of JWKS_URL")
    try:
        user = user_id(arguments.user, settings.jwt_subject_type)
    except ValueError as error:
        raise CommandError(f"--user: {error}") from None
    print(issue_token(settings, user, ttl=arguments.ttl, scopes=arguments.scope))


def _asyncapi(settings: Settings, _arguments: argparse.Namespace) -> None:
    from service.asyncapi import document  # noqa: PLC0415
    from service.endpoints import routers  # noqa: PLC0415
    from service.project import read_project  # noqa: PLC0415

    print(json.dumps(document(read_project(), routers(demo=settings.demo)), indent=2, ensure_ascii=False))


def _print_welcome(settings: Settings) -> None:
    from service.auth.tokens import demo_tokens  # noqa: PLC0415

    token, other = demo_tokens(settings)
    address = f"localhost:{settings.port}"
    print(
        f"\n  Page    http://{address}/#token={token}&token={other}\n"
        f"  Token   {token}\n"
        f"  Client  .venv/bin/python -m websockets 'ws://{address}/ws/live-comments/1?token={token}'\n",
        flush=True,
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of seconds above 0")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
