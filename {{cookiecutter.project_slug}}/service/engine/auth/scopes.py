"""What a token allows, wherever its issuer writes that: `scope` (RFC 8693 §4.2), `scp`, `permissions`, roles."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def scopes_in(claims: Mapping[str, Any], names: Iterable[str]) -> frozenset[str]:
    """All that the claims of these names hold: a text, separated by blanks; a list, each of its texts.

    In `realm_access.roles` the dot leads into a claim, unless one is called so.
    """
    scopes: set[str] = set()
    for name in names:
        for value in _found(claims, name):
            scopes.update(_listed(value))
    return frozenset(scopes)


def _found(claims: Mapping[str, Any], name: str) -> Iterator[Any]:
    if name in claims:
        yield claims[name]
        return
    for end in (index for index, character in enumerate(name) if character == "."):
        inner = claims.get(name[:end])
        if isinstance(inner, Mapping):
            yield from _found(inner, name[end + 1 :])


def _listed(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from value.split()
    elif isinstance(value, list):
        yield from (each for each in value if isinstance(each, str) and each)
