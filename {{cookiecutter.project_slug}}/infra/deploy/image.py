"""The image: built from a commit, tagged with it, deployed by its digest."""

import base64
import subprocess

from botocore.exceptions import ClientError

from infra.deploy import certificates
from infra.deploy.environment import INFRA, DeploymentError, Environment

_ROOT = INFRA.parent


def digest_of(environment: Environment, image: str | None) -> str:
    """The digest of an image: given by digest, by tag, or as the one of this commit.

    Raises:
        DeploymentError: There is no such image.
    """
    wanted = image or commit()
    if (digest := _find(environment, environment.deployment.image_account, wanted)) is None:
        hint = "" if image else ": make image"
        raise DeploymentError(f"there is no image {wanted}{hint}. Nothing was changed.")
    return digest


def publish(environment: Environment, loaded: str | None = None) -> str:
    """Build the image of this commit, or take the one that was tested, and push it, once; its digest.

    Raises:
        DeploymentError: The working tree differs from the commit, the image is for other machines, or could not trust
            the database.
    """
    if loaded is None and _output("git", "status", "--porcelain"):
        raise DeploymentError("commit first: an image is named after the commit that it was built from")
    certificates.check(environment.region)
    tag = commit()
    if (digest := _find(environment, environment.account, tag)) is not None:
        environment.say(f"the image of {tag} is there already")
        return digest
    authorization = environment.client("ecr").get_authorization_token()["authorizationData"][0]
    registry = authorization["proxyEndpoint"].removeprefix("https://")
    name = f"{registry}/{environment.project}:{tag}"
    if loaded is None:
        build = ["buildx", "build", "--platform", f"linux/{environment.architecture}", "--load"]
        _docker(*build, "--provenance", "false", "--tag", name, ".")
    else:
        _docker("tag", loaded, name)
    made_for = _output("docker", "image", "inspect", "--format", "{{.Architecture}}", name)
    if made_for != environment.architecture:
        raise DeploymentError(
            f"the image is for {made_for}, and {environment.name} runs on {environment.architecture} (architecture in "
            f"its tfvars): on GitHub, the variable IMAGE_RUNNER says where it is built"
        )
    user, password = base64.b64decode(authorization["authorizationToken"]).decode().split(":", 1)
    login = ["docker", "login", "--username", user, "--password-stdin", registry]
    subprocess.run(login, input=password.encode(), check=True, stdout=subprocess.DEVNULL)
    _docker("push", "--quiet", name)
    if (pushed := _find(environment, environment.account, tag)) is None:
        raise DeploymentError(f"the registry does not know the image {tag} that was pushed")
    return pushed


def commit() -> str:
    return _output("git", "rev-parse", "HEAD")


def _find(environment: Environment, account: str, wanted: str) -> str | None:
    identifier = {"imageDigest": wanted} if wanted.startswith("sha256:") else {"imageTag": wanted}
    ecr = environment.client("ecr")
    try:
        answer = ecr.describe_images(registryId=account, repositoryName=environment.project, imageIds=[identifier])
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"ImageNotFoundException", "RepositoryNotFoundException"}:
            raise
        return None
    return str(answer["imageDetails"][0]["imageDigest"])


def _docker(*arguments: str) -> None:
    subprocess.run(["docker", *arguments], cwd=_ROOT, check=True, stdout=subprocess.DEVNULL)


def _output(*command: str) -> str:
    return subprocess.run(command, cwd=_ROOT, check=True, capture_output=True, text=True).stdout.strip()
