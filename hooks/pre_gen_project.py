"""Refuses answers that would not give a valid project, in one line on stderr.

Cookiecutter makes the project's directory before it runs this hook. So `__safe_directory` in cookiecutter.json
replaces a slug that is not a plain name (`../evil`), and `__slug_answer` keeps what was answered.
"""

import json
import re
import sys
import unicodedata
from pathlib import Path

# Read as data: tojson escapes every quote that could end this literal.
ANSWERS: dict[str, str] = json.loads(r'''{{ cookiecutter | tojson }}''')  # fmt: skip

# Cookiecutter leaves the rendered copy of this file, which is what runs, in the temporary directory for ever.
Path(__file__).unlink()

# Written apart, because cookiecutter renders this file too. `cruft update` renders the recorded answers again.
JINJA_MARKS = tuple("{" + mark for mark in "%#{")
CONTROL_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}

HOST_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
FORMATS = {
    "project_name": (r".*\S.*", "some text"),
    "project_slug": (
        r"(?=.{3,20}\Z)(?!internal-|aws|ssm|sg-|amzn-)[a-z][a-z0-9]*(?:-[a-z0-9]+)*",
        "3 to 20 lower-case letters, digits and single hyphens; a letter first, not internal-, aws, ssm, sg-, amzn-",
    ),
    "description": (r".*", "text"),
    "author": (r".*", "text"),
    "github_owner": (
        r"(?=.{1,39}\Z)[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*(?:_[A-Za-z0-9]+)?",
        "a GitHub user or organisation: letters, digits and single hyphens (octocat_acme for a managed user)",
    ),
    "aws_region": (r"[a-z]{2,5}(?:-[a-z]+){1,3}-[1-9]", "an AWS region such as eu-central-1"),
    "example": (r"comments|none", "comments or none"),
    "domain_name": (
        r"(?:(?=.{4,253}\Z)(?:" + HOST_LABEL + r"\.)+(?![0-9]+\Z)" + HOST_LABEL + ")?",
        "empty or a lower-case host name such as live.example.com",
    ),
}


def complaint(question: str, answer: str) -> str | None:
    """What is wrong with this answer, if anything."""
    pattern, wanted = FORMATS[question]
    if any(unicodedata.category(character) in CONTROL_CATEGORIES for character in answer):
        wanted = "one line without control characters"
    elif any(mark in answer for mark in JINJA_MARKS):
        wanted = "text without " + " or ".join(JINJA_MARKS)
    elif re.fullmatch(pattern, answer):
        return None
    return f"{question} must be {wanted}, not {answer[:60]!a}"


answers = {question: str(ANSWERS[question]) for question in FORMATS}
answers["project_slug"] = ANSWERS["__slug_answer"]
complaints = [problem for question, answer in answers.items() if (problem := complaint(question, answer))]
if complaints:
    sys.exit("; ".join(complaints))
