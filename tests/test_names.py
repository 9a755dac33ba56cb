"""Names and regions: the template, Terraform and AWS take the same."""

import random
import re
from pathlib import Path

import pytest

from tests.bakery import ROOT

PROJECT_DIRECTORY = "{{cookiecutter.project_slug}}"


def test_slugs_are_the_same_for_the_template_and_for_terraform() -> None:
    """Any slug that the template accepts, and none that AWS refuses: a thousand by chance."""
    hook = (ROOT / "hooks" / "pre_gen_project.py").read_text()
    asked = re.search(r'"project_slug": \(\n +r"(.*)"', hook)
    files = [ROOT / PROJECT_DIRECTORY / "infra" / place for place in ("variables.tf", "bootstrap/variables.tf")]
    assert asked is not None
    form = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
    kept = r"^(internal-|aws|ssm|sg-|amzn-)"
    for file in files:
        assert f'regex("{form}", var.project)' in file.read_text()
        assert f'regex("{kept}", var.project)' in file.read_text()
    chance = random.Random(20261126)
    starts = ["internal-", "aws", "ssm", "sg-", "amzn-", "a", "sg", "internal", "-", "1"]
    slugs = [
        chance.choice([*starts, ""]) + "".join(chance.choice("ab1-") for _ in range(chance.randint(0, 20)))
        for _ in range(1000)
    ]
    accepted = {slug for slug in slugs if re.fullmatch(asked[1], slug)}
    assert accepted == {
        slug for slug in slugs if re.search(form, slug) and 3 <= len(slug) <= 20 and not re.search(kept, slug)
    }
    assert 100 < len(accepted) < 900


@pytest.mark.parametrize(
    ("region", "good"),
    [("eu-central-1", True), ("us-gov-west-1", True), ("eusc-de-east-1", True), ("cn-north-1", True), ("moon", False)],
)
def test_regions_of_every_partition_are_known(region: str, good: bool) -> None:
    hook = (ROOT / "hooks" / "pre_gen_project.py").read_text()
    asked = re.search(r'"aws_region": \(r"(.*?)"', hook)
    assert asked is not None
    assert bool(re.fullmatch(asked[1], region)) is good
    for place in ("variables.tf", "bootstrap/variables.tf"):
        declared = re.search(r'regex\("(.*)", var.aws_region', (ROOT / PROJECT_DIRECTORY / "infra" / place).read_text())
        assert declared is not None
        assert bool(re.search(declared[1], region)) is good


def test_no_partition_is_taken_for_granted(project: Path) -> None:
    text = "".join(path.read_text() for path in (project / "infra").rglob("*.tf"))
    assert "arn:aws" not in text
    assert not re.findall(r"\$\{var.aws_region\}\.amazonaws", text)
