"""What a directory holds, and whether it is valid."""

import json
import tomllib
from pathlib import Path

import yaml

BINARY = {".png", ".xz"}


def tree(directory: Path) -> dict[str, bytes | None]:
    """Every path below the directory, with the bytes of files."""
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None
        for path in sorted(directory.rglob("*"))
    }


def assert_valid(directory: Path) -> None:
    """Parse every file below the directory whose language has a parser at hand."""
    for path in directory.rglob("*"):
        if path.is_dir() or path.suffix in BINARY:
            continue
        text = path.read_text(encoding="utf-8")
        match path.suffix:
            case ".py":
                compile(text, str(path), "exec")
            case ".toml":
                tomllib.loads(text)
            case ".json":
                json.loads(text)
            case ".yml" | ".yaml":
                yaml.safe_load(text)
