"""The OpenAPI document: what FastAPI finds out by itself, and every problem that an operation may answer."""

from typing import Any

from fastapi import FastAPI

from service.engine.foundation.wire import Error

Document = dict[str, Any]

_PROBLEM = "Problem"
_NO_TOKEN = (401, "The token is missing, invalid, expired or revoked.")
_FORBIDDEN = (403, "The user may not do this, or the token lacks a scope.")
_TOO_LARGE = (413, "The body is too large.")
_INVALID = (422, "A parameter or the body is not as described.")
_UNAVAILABLE = (503, "The service cannot store or read right now: try again after `Retry-After` seconds.")


def describe_problems(app: FastAPI) -> None:
    """Let the document of `app` name them, in the form that they are answered in."""
    generate = app.openapi

    def document() -> Document:
        if app.openapi_schema is None:
            _describe(generate())
        return generate()

    app.openapi = document  # type: ignore[method-assign] # the way that FastAPI documents


def _describe(document: Document) -> None:
    schemas = document["components"]["schemas"]
    for fastapis in ("HTTPValidationError", "ValidationError"):
        schemas.pop(fastapis, None)
    schemas[_PROBLEM] = _problem()
    for operations in document["paths"].values():
        for operation in operations.values():
            problems = {str(status): _response(description) for status, description in _problems_of(operation)}
            operation["responses"] = dict(sorted((operation["responses"] | problems).items()))


def _response(description: str) -> Document:
    schema = {"$ref": f"#/components/schemas/{_PROBLEM}"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _problem() -> Document:
    """An error as HTTP answers it: `client_id` and `stream` are for what is said on a connection."""
    schema = Error.model_json_schema()
    for name in ("client_id", "stream"):
        del schema["properties"][name]
    return schema | {"description": "What went wrong.", "required": list(schema["properties"])}


def _problems_of(operation: Document) -> list[tuple[int, str]]:
    problems = []
    if operation.get("security"):
        problems += [_NO_TOKEN, _FORBIDDEN, _UNAVAILABLE]
    if "requestBody" in operation:
        problems.append(_TOO_LARGE)
    if "404" in operation["responses"]:
        problems.append((404, operation["responses"]["404"]["description"]))
    if "422" in operation["responses"]:
        problems.append(_INVALID)
    return problems
