"""What the workflows do on a repository's first push: which jobs run, and which are skipped for want of AWS."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

AWS = {"AWS_ROLE_PREFIX": "arn:aws:iam::1:role/live", "AWS_REGION": "eu-central-1"}
REPOSITORIES: dict[str, dict[str, str]] = {
    "without AWS": {},
    "staging only": AWS,
    "both, with approvals": {**AWS, "PRODUCTION": "approval"},
    "both, on a plan without approvals": {**AWS, "PRODUCTION": "manual"},
}
PUSHED = {
    "without AWS": set(),
    "staging only": {"image", "staging", "apply-staging"},
    "both, with approvals": {"image", "staging", "production", "apply-staging", "plan-production", "apply-production"},
    "both, on a plan without approvals": {"image", "staging", "apply-staging", "plan-production"},
}


ASSUME_ROLE = "./.github/actions/assume-role"


def workflow(project: Path, name: str) -> dict[str, Any]:
    text = (project / ".github" / "workflows" / f"{name}.yml").read_text()
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def runs(jobs: dict[str, Any], name: str, known: dict[str, str]) -> bool:
    """Whether a job starts, when those it needs go well: the rules of `needs` and `if`."""
    job = jobs[name]
    needs = job.get("needs", [])
    wanted = [needs] if isinstance(needs, str) else needs
    results = {f"needs.{each}.result": "success" if runs(jobs, each, known) else "skipped" for each in wanted}
    rule = str(job.get("if", "true"))
    if not re.search(r"\b(failure|cancelled|always)\(\)", rule) and "skipped" in results.values():
        return False
    return bool(evaluate(rule, {**known, **results}))


def evaluate(rule: str, known: dict[str, str]) -> object:
    """GitHub's expressions, as far as our rules go; what is not known is empty."""
    calls = rule.replace("failure()", "false").replace("cancelled()", "false")
    python = re.sub(r"!(?!=)", " not ", calls).replace("&&", " and ").replace("||", " or ")
    python = re.sub(r"\b(true|false)\b", lambda word: word[0].capitalize(), python)
    python = re.sub(r"(?:vars|github|needs|inputs)\.[\w.-]+", lambda name: repr(known.get(name[0], "")), python)
    return eval(" ".join(python.split()), {"__builtins__": {}})


def known(repository: str, event: str, **more: str) -> dict[str, str]:
    return {
        "github.event_name": event,
        "github.ref": "refs/heads/main",
        "github.repository": "example/live",
        **{f"vars.{name}": value for name, value in REPOSITORIES[repository].items()},
        **more,
    }


@pytest.mark.parametrize("repository", REPOSITORIES)
def test_a_push_starts_what_the_repository_is_set_up_for(project: Path, repository: str) -> None:
    started = {
        name
        for file in ("deploy", "terraform")
        for jobs in [workflow(project, file)["jobs"]]
        for name in jobs
        if runs(jobs, name, known(repository, "push"))
    }
    assert started == {"check", *PUSHED[repository]}


@pytest.mark.parametrize(("head", "plans"), [("example/live", True), ("somebody/live", False)])
def test_a_fork_gets_no_credentials(project: Path, head: str, plans: bool) -> None:
    jobs = workflow(project, "terraform")["jobs"]
    event = known("staging only", "pull_request", **{"github.event.pull_request.head.repo.full_name": head})
    assert [name for name in jobs if runs(jobs, name, event)] == (["plan"] if plans else [])


@pytest.mark.parametrize("repository", REPOSITORIES)
def test_production_by_hand(project: Path, repository: str) -> None:
    event = known(repository, "workflow_dispatch")
    has_production = repository.startswith("both")
    assert runs(workflow(project, "promote")["jobs"], "production", event) is has_production
    assert runs(workflow(project, "terraform")["jobs"], "apply-production", event) is has_production
    elsewhere = {**event, "github.ref": "refs/heads/mine"}
    assert not runs(workflow(project, "promote")["jobs"], "production", elsewhere)
    assert not runs(workflow(project, "terraform")["jobs"], "apply-production", elsewhere)


def test_no_run_waits_for_anothers_approval(project: Path) -> None:
    """A group for each job and environment: what waits for production's approval holds up nothing but production."""
    groups: dict[str, set[str]] = {}
    for file in ("deploy", "promote", "terraform"):
        loaded = workflow(project, file)
        assert "concurrency" not in loaded
        for name, job in loaded["jobs"].items():
            if "uses" not in job:
                assert job["concurrency"]["cancel-in-progress"] is (
                    job["concurrency"]["group"].startswith("terraform-plan-${{ matrix")
                )
                groups.setdefault(job["concurrency"]["group"], set()).add(job.get("environment", name))
    assert all(len(environments) == 1 for environments in groups.values()), groups
    assert {"deploy-staging", "deploy-production", "terraform-staging", "terraform-production"} < groups.keys()
    assert "github.run_id" in workflow(project, "ci")["concurrency"]["group"]  # every push to main is checked


def test_sessions_outlast_the_jobs(project: Path) -> None:
    for file in ("deploy", "promote", "terraform"):
        for name, job in workflow(project, file)["jobs"].items():
            for step in job.get("steps", []):
                if step.get("uses") == ASSUME_ROLE:
                    assert step["with"].get("role-duration-seconds", 3600) >= job["timeout-minutes"] * 60, name


def test_a_job_that_aws_refuses_says_what_to_do(project: Path) -> None:
    """A wrong id, or a subject of the other form: all that becomes a role does so in one place, which explains."""
    for file in ("deploy", "promote", "terraform"):
        for name, job in workflow(project, file)["jobs"].items():
            becomes = [step for step in job.get("steps", []) if step.get("uses") == ASSUME_ROLE]
            assert len(becomes) == ("id-token" in job.get("permissions", {})), name
    action = yaml.safe_load((project / ASSUME_ROLE / "action.yml").read_text())
    become, explain = action["runs"]["steps"]
    assert become["uses"].startswith("aws-actions/configure-aws-credentials@")
    assert explain["if"] == "failure()"
    environment = {**os.environ, "ROLE": "arn:aws:iam::1:role/live", "GITHUB_REPOSITORY": "example/live"}
    command = ["bash", "-c", explain["run"]]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert said.startswith("::error title=AWS did not let this job in as arn:aws:iam::1:role/live::Compare the numbers")
    assert said.count("\n") == 1
    assert "gh api repos/example/live --jq .owner.id,.id" in said
    assert 'github_subject = "name"' in said
    assert "**Who gets in.**" in (project / "docs" / "deploy.md").read_text()


TABLE = {
    "without AWS": "without AWS",
    "`AWS_ROLE_PREFIX`: staging only": "staging only",
    "and `PRODUCTION=approval`": "both, with approvals",
    "and `PRODUCTION=manual` (a free plan)": "both, on a plan without approvals",
}


def test_the_guides_table_says_what_the_rules_say(project: Path) -> None:
    """The first push, repository by repository: what starts, what is skipped, what waits."""
    guide = (project / "docs" / "deploy.md").read_text()
    rows = {
        row.split(" | ")[0].strip("| "): row.split(" | ")[1:] for row in re.findall(r"^\| .*\|$", guide, re.MULTILINE)
    }
    for name, repository in TABLE.items():
        check, staging, terraform, production = rows[name]
        jobs = PUSHED[repository]
        assert check == "runs"
        assert staging == ("run" if {"image", "staging"} <= jobs else "skipped")
        assert terraform.startswith("staging's" if "apply-staging" in jobs else "skipped")
        assert ("production's plan" in terraform) is ("plan-production" in jobs)
        assert ("applied once approved" in terraform) is ("apply-production" in jobs)
        expected = {
            "both, with approvals": "once approved |",
            "both, on a plan without approvals": "Promote, Terraform by hand |",
        }
        assert production == expected.get(repository, "skipped |")
        assert ("production" in jobs) is (production == "once approved |")
    assert rows["a fork"][1:] == ["skipped", "no credentials, so no plan", "skipped |"]


def test_the_image_is_built_once_and_scanned(project: Path) -> None:
    """Built, tested and scanned in one job; what deploy.yml publishes is loaded from there."""
    steps = workflow(project, "ci")["jobs"]["image"]["steps"]
    built = [step["with"]["tags"] for step in steps if "build-push-action" in step.get("uses", "")]
    scanned = [step["with"]["image-ref"] for step in steps if "trivy" in step.get("uses", "")]
    assert built == ["service:ci"]
    assert set(scanned) == {"service:ci"}
    assert "docker save --output image.tar service:ci" in [step.get("run") for step in steps]
    published = " ".join(step.get("run", "") for step in workflow(project, "deploy")["jobs"]["image"]["steps"])
    assert "docker load" in published
    assert "--loaded service:ci" in published
    assert "build" not in published.replace("--dir build", "").replace("build/image.tar", "")


def test_a_vulnerability_stops_what_brings_it_in_and_no_hotfix(project: Path) -> None:
    ci = workflow(project, "ci")
    rule = "${{ needs.changes.outputs.packages == 'unchanged' }}"
    (scan,) = (step for step in ci["jobs"]["image"]["steps"] if step.get("name") == "Look for known vulnerabilities")
    assert scan["with"]["exit-code"] == "1"
    assert scan["continue-on-error"] == ci["jobs"]["audit"]["continue-on-error"] == rule


def test_the_approver_has_seen_what_is_applied(project: Path) -> None:
    jobs = workflow(project, "terraform")["jobs"]
    plan, apply = (
        "".join(str(step) for step in jobs[name]["steps"]) for name in ("plan-production", "apply-production")
    )
    assert "environment" not in jobs["plan-production"]
    assert "plan-production" in jobs["apply-production"]["needs"]
    assert '--keep "$GITHUB_RUN_ID"' in plan
    assert "GITHUB_STEP_SUMMARY" in plan
    assert 'apply production --kept "$PLAN"' in apply
    assert "infra.deploy plan" not in apply
