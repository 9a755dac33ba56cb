"""The commands: `python -m service COMMAND`.

What a command needs is imported by it: whoever asks for help, or stops a service that has just begun, does not wait.
"""

# ruff: noqa: PLC0415

import argparse
import io
import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, TextIO

from service.engine.application.stopping import stoppable

if TYPE_CHECKING:
    from service.engine.application.application import Application

Load = Callable[[], "Application"]


def main(application: str) -> int:
    """Run one command for the application at `module:attribute`; what is refused is one line on stderr.

    The application is named, not given, because metrics over several processes have to be set up before it is imported.
    """
    module, _, attribute = application.partition(":")
    program = f"python -m {module.rpartition('.')[0]}"
    arguments = _parser(program).parse_args()

    def load() -> "Application":
        found: Application = getattr(import_module(module), attribute)
        return found

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a locale that has no such character is no reason to fail
    try:
        arguments.run(load, arguments)
    except Exception as error:
        if isinstance(error, BrokenPipeError):
            return 1
        if not isinstance(error, _refusals()):
            raise
        print(f"{program}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    finally:
        _flush(sys.stdout, sys.stderr)
    return 0


def _flush(*streams: TextIO | None) -> None:
    """Python ends with 120 if that fails at last: the terminal is closed, or `| head` has seen enough."""
    for stream in filter(None, streams):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class CommandError(Exception):
    """A command cannot do what it was asked to. The message is one line."""


def _refusals() -> tuple[type[Exception], ...]:
    """The errors whose message is all that there is to say."""
    from service.engine.foundation.settings import SettingsError
    from service.engine.streams.stream import DeclarationError

    return SettingsError, DeclarationError, CommandError


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description="The WebSocket service.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="serve until a signal says stop")
    serve.set_defaults(run=_serve)

    migrate = commands.add_parser("migrate", help="bring the schema of DATABASE_URL up to date")
    migrate.set_defaults(run=_migrate)

    token = commands.add_parser("token", help="print a token signed with SECRET_KEY")
    token.add_argument("--user", required=True, help="the user it is for (the claim sub)")
    token.add_argument("--ttl", type=_positive, default=3600, metavar="SECONDS", help="how long it is valid (3600)")
    token.add_argument("--scope", default="", help="what it allows, separated by spaces: connections:write")
    token.add_argument(
        "--claim",
        type=_claim,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another claim, such as role=admin",
    )
    token.set_defaults(run=_token)

    asyncapi = commands.add_parser("asyncapi", help="print the AsyncAPI document of the WebSocket endpoints")
    asyncapi.set_defaults(run=_asyncapi)

    types = commands.add_parser("types", help="print the messages as TypeScript declarations (.d.ts)")
    types.set_defaults(run=_types)
    return parser


def _serve(load: Load, _arguments: argparse.Namespace) -> None:
    with stoppable():
        from service.engine.application.variables import let_servers_read
        from service.engine.foundation.settings import Settings, load_settings

        settings = load_settings(Settings)
        let_servers_read(settings)
        from service.engine.application.server import metrics_directory

        with metrics_directory(settings.web_concurrency):
            _serve_application(load())


def _serve_application(application: "Application") -> None:
    from service.engine.application.development import development_settings
    from service.engine.application.listening import listen
    from service.engine.application.preparing import Preparation
    from service.engine.application.server import serve
    from service.engine.application.welcome import welcome
    from service.engine.foundation.settings import load_settings
    from service.engine.observability.outlets import check_variables
    from service.engine.streams.stream import check_streams

    settings = load_settings(application.settings)
    check_streams(application.streams)
    check_variables()
    with listen(settings) as listener, development_settings(settings, _say) as settings:
        if not settings.is_development:
            serve(application, settings, listener)
            return
        preparation = Preparation(application, settings, _say)
        serve(
            application,
            settings,
            listener,
            ready=lambda: print(welcome(application, settings, listener.port), flush=True),
            meanwhile=None if preparation.succeeds() else preparation.go_on,
        )


def _migrate(load: Load, _arguments: argparse.Namespace) -> None:
    from service.engine.application.preparing import PreparationError, bring_up_to_date
    from service.engine.foundation.settings import load_settings

    application = load()
    try:
        for remark in bring_up_to_date(application, load_settings(application.settings)):
            print(f"python -m service: {remark}")
    except PreparationError as error:
        raise CommandError(f"cannot migrate: {error}") from None


def _say(text: str) -> None:
    print(f"python -m service: {text}", file=sys.stderr, flush=True)


def _token(load: Load, arguments: argparse.Namespace) -> None:
    from service.engine.application.development import with_secret_key
    from service.engine.auth.tokens import issue_token
    from service.engine.foundation.identity import user_id
    from service.engine.foundation.settings import load_settings

    settings = with_secret_key(load_settings(load().settings))
    if not settings.secret_keys:
        raise CommandError("SECRET_KEY is unset: tokens are made by the identity provider of JWKS_URL")
    try:
        user = user_id(arguments.user, settings.jwt_subject_type)
    except ValueError as error:
        raise CommandError(f"--user: {error}") from None
    print(issue_token(settings, user, ttl=arguments.ttl, scopes=arguments.scope, claims=dict(arguments.claim)))


def _asyncapi(load: Load, _arguments: argparse.Namespace) -> None:
    document = _document(load)
    in_unicode = (sys.stdout.encoding or "utf-8").lower().startswith("utf")
    print(json.dumps(document, indent=2, ensure_ascii=not in_unicode))


def _types(load: Load, _arguments: argparse.Namespace) -> None:
    from service.engine.documents.typescript import declarations

    print(declarations(_document(load)), end="")


def _document(load: Load) -> dict[str, Any]:
    from service.engine.foundation.settings import load_settings

    application = load()
    return application.asyncapi(demo_endpoints=load_settings(application.settings).demo)


def _claim(text: str) -> tuple[str, Any]:
    """A value that is JSON is taken as that, any other as a text."""
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of seconds above 0")
    return int(text)
