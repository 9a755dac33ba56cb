"""The commands: `python -m infra.deploy COMMAND ENVIRONMENT`. The Makefile has a target for each."""

import argparse
import signal
import subprocess
import sys
from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError

from infra.deploy import bootstrap, database_password, image, secret_key, terraform
from infra.deploy.environment import ENVIRONMENTS, DeploymentError, Environment
from infra.deploy.lock import state_lock
from infra.deploy.rollout import Rollout
from infra.deploy.smoke import smoke_test, token_for


def main() -> int:
    """Run one command; what goes wrong is one line on stderr."""
    arguments = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that a cancelled workflow gives its lock back
    try:
        arguments.run(arguments)
    except (DeploymentError, ClientError, BotoCoreError) as error:
        print(f"{arguments.command}: error: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        return error.returncode
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.deploy", description="Deployments and what belongs to them.")
    commands = parser.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")

    deploy = _command(commands, "deploy", _deploy, "migrate, roll out, test; go back if it does not work")
    deploy.add_argument(
        "--image", help="a digest (sha256:...), a tag, or `running`; by default the image of this commit"
    )
    deploy.add_argument("--without-smoke-test", action="store_true", help="do not connect after the rollout")
    _waiting(deploy)

    _command(commands, "image", _image, "build and push the image of this commit; prints its digest").add_argument(
        "--loaded", metavar="NAME", help="push this image, which Docker has and which was tested, instead of building"
    )
    plan = _command(commands, "plan", _plan, "show what Terraform would change")
    plan.add_argument(
        "--read-only", action="store_true", help="neither lock the state nor keep the plan: for pull requests"
    )
    plan.add_argument("--keep", metavar="NAME", help="keep the plan next to the state, without locking that")
    _command(commands, "apply", _apply, "do what the last plan showed").add_argument(
        "--kept", metavar="NAME", help="or one that was kept"
    )

    rotation = _command(commands, "secret-key", _secret_key, "take one step of a rotation of SECRET_KEY")
    rotation.add_argument("step", choices=secret_key.STEPS)
    _waiting(_command(commands, "rotate-database", _rotate_database, "change the database's passwords"))

    command = commands.add_parser("terraform", help="any command of Terraform's, with the environment's state")
    command.add_argument("environment", choices=(*ENVIRONMENTS, "bootstrap"))
    command.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="what follows `terraform`")
    command.set_defaults(run=_terraform)

    account = commands.add_parser("bootstrap", help="make what all environments of an account share")
    account.add_argument("environments", nargs="*", metavar="ENVIRONMENT", help="those that live in it (both)")
    account.set_defaults(run=_bootstrap)
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[argparse.Namespace], None],
    help_text: str,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=help_text)
    command.add_argument("environment", choices=ENVIRONMENTS)
    command.set_defaults(run=run)
    return command


def _waiting(command: argparse.ArgumentParser) -> None:
    command.add_argument("--poll", type=float, default=5, metavar="SECONDS", help="how often to look (5)")
    command.add_argument("--patience", type=float, metavar="SECONDS", help="how long a rollout may take")
    command.add_argument("--lock-patience", type=float, default=1800, metavar="SECONDS", help="how long to wait (1800)")


def _deploy(arguments: argparse.Namespace) -> None:
    environment = _environment(arguments)
    chosen = None if arguments.image == "running" else image.digest_of(environment, arguments.image)
    rollout = Rollout(environment, arguments.patience, arguments.poll)
    with state_lock(environment, arguments.lock_patience, arguments.poll):
        digest = chosen or rollout.digest()
        secret_key.make_if_missing(environment)
        database_password.make_if_missing(environment)
        if arguments.without_smoke_test:
            environment.say("warning: without a smoke test, nobody looks whether the new tasks serve a client")
        token = None if arguments.without_smoke_test else token_for(environment)
        before = rollout.running()
        rollout.migrate(digest)
        rollout.roll_out(rollout.register(digest))
        if token is not None:
            try:
                smoke_test(environment, token)
            except DeploymentError as problem:
                raise DeploymentError(f"{problem}. {rollout.go_back(before)}") from None
    environment.say(f"{environment.name} runs {digest}")


def _rotate_database(arguments: argparse.Namespace) -> None:
    environment = _environment(arguments)
    with state_lock(environment, arguments.lock_patience, arguments.poll):
        rollout = Rollout(environment, arguments.patience, arguments.poll)
        database_password.rotate(environment, rollout, arguments.poll)


def _image(arguments: argparse.Namespace) -> None:
    print(image.publish(_environment(arguments), arguments.loaded))


def _plan(arguments: argparse.Namespace) -> None:
    environment = _environment(arguments)
    options = ["-lock=false"] if arguments.read_only or arguments.keep else []
    terraform.plan(environment, *options, *([] if arguments.read_only else [terraform.keep_plan(environment)]))
    if arguments.keep:
        terraform.keep(environment, arguments.keep)


def _apply(arguments: argparse.Namespace) -> None:
    environment = _environment(arguments)
    if arguments.kept:
        terraform.fetch(environment, arguments.kept)
    terraform.apply(environment)


def _terraform(arguments: argparse.Namespace) -> None:
    if arguments.environment == "bootstrap":
        bootstrap.run(arguments.arguments)
    else:
        terraform.run(_environment(arguments), arguments.arguments)


def _secret_key(arguments: argparse.Namespace) -> None:
    secret_key.rotate(_environment(arguments), arguments.step)


def _bootstrap(arguments: argparse.Namespace) -> None:
    bootstrap.bootstrap(arguments.environments)


def _environment(arguments: argparse.Namespace) -> Environment:
    return Environment(arguments.environment, lambda line: print(line, file=sys.stderr, flush=True))


if __name__ == "__main__":
    sys.exit(main())
