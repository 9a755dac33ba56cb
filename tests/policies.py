"""IAM's decision, as far as the policies of infra/ go: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html

What it does not know (a condition's operator, a kind of principal) is an error, not a guess.
"""

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from tests.exposure import as_list, statements

Context = dict[str, str | list[str]]


def allows(
    policy: str, action: str, resource: str, context: Context | None = None, boundary: str | None = None
) -> bool:
    """Whether a role with this policy, within this boundary, may do it."""
    known = context or {}
    within = boundary is None or _decision(boundary, action, resource, known)
    return within and _decision(policy, action, resource, known)


def lets_in(trust: str, claims: dict[str, str]) -> bool:
    """Whether a role's trust policy accepts a token of GitHub's."""
    context: Context = {f"token.actions.githubusercontent.com:{name}": value for name, value in claims.items()}
    return any(
        statement["Action"] == "sts:AssumeRoleWithWebIdentity"
        and "Federated" in statement["Principal"]
        and _fits(statement.get("Condition", {}), context)
        for statement in statements(trust)
        if statement["Effect"] == "Allow"
    )


def _decision(policy: str, action: str, resource: str, context: Context) -> bool:
    hits = [each for each in statements(policy) if _concerns(each, action, resource, context)]
    return bool(hits) and all(each["Effect"] == "Allow" for each in hits)


def _concerns(statement: dict[str, Any], action: str, resource: str, context: Context) -> bool:
    return (
        _names(statement, "Action", action.lower(), str.lower)
        and _names(statement, "Resource", resource, str)
        and _fits(statement.get("Condition", {}), context)
    )


def _names(statement: dict[str, Any], key: str, value: str, form: Callable[[str], str]) -> bool:
    if f"Not{key}" in statement:
        return not any(fnmatchcase(value, form(pattern)) for pattern in as_list(statement[f"Not{key}"]))
    return any(fnmatchcase(value, form(pattern)) for pattern in as_list(statement[key]))


def _fits(conditions: dict[str, dict[str, Any]], context: Context) -> bool:
    return all(
        _holds(operator, context.get(key), [str(value) for value in as_list(values)])
        for operator, keys in conditions.items()
        for key, values in keys.items()
    )


def _holds(operator: str, found: str | list[str] | None, wanted: list[str]) -> bool:
    quantifier, _, test = operator.rpartition(":")
    if test == "Null":
        return (found is None) == (wanted == ["true"])
    if found is None:
        return test.startswith("StringNot") or quantifier == "ForAllValues"
    return (any if quantifier == "ForAnyValue" else all)(_matches(test, value, wanted) for value in as_list(found))


def _matches(test: str, value: str, wanted: list[str]) -> bool:
    match test:
        case "StringEquals":
            return value in wanted
        case "StringNotEquals":
            return value not in wanted
        case "StringLike" | "ArnEquals":
            return any(fnmatchcase(value, pattern) for pattern in wanted)
    raise NotImplementedError(test)
