"""Where a scenario is: its clients in a `.py` file, the levels that it has to keep in a `.toml` file."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ENGINE = Path(__file__).parent
_YOURS = _ENGINE.parent / "scenarios"
_OURS = _ENGINE / "scenarios"


@dataclass(frozen=True)
class Scenario:
    """One to be run; `levels` is None where none are to be kept but that nothing fails."""

    name: str
    file: Path
    levels: Path | None


class NoScenarioError(Exception):
    """There is none of this name. The message is one line."""


def names() -> list[str]:
    """The scenarios that there are."""
    return sorted({path.stem for directory in (_YOURS, _OURS) for path in directory.glob("[!_]*.py")})


def find(text: str) -> Scenario:
    """The scenario of a name, or in a file.

    Raises:
        NoScenarioError: There is none.
    """
    named = text.endswith(".py")
    file = _first([Path(text).absolute()] if named else [directory / f"{text}.py" for directory in (_YOURS, _OURS)])
    if file is None:
        raise NoScenarioError(f"there is no scenario {text}: choose {', '.join(names())}, or name a file")
    beside = file.with_suffix(".toml")
    return Scenario(file.stem, file, _first([beside] if named else [_YOURS / beside.name, beside]))


def levels_in(file: Path | None) -> dict[str, Any]:
    """A file's levels: `failures`, the share of measures in per cent that may fail, and milliseconds by percentile.

    Raises:
        ValueError: It is not TOML.
    """
    return {} if file is None else tomllib.loads(file.read_text(encoding="utf-8"))


def _first(paths: list[Path]) -> Path | None:
    return next((path for path in paths if path.is_file()), None)
