"""JavaScript for tests: the Node that Playwright brings along, and packages of the npm registry, pinned by hash."""

import base64
import hashlib
import json
import re
import subprocess
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

import playwright

NODE = Path(playwright.__file__).parent / "driver" / "node"


def run_node(script: Path, *arguments: object, within: float = 30) -> Any:
    """Run a script; what it prints is JSON."""
    command = [str(NODE), str(script), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=within, check=False)
    assert result.returncode == 0, result.stderr[-4000:]
    return json.loads(result.stdout)


@cache
def npm_package(name: str, integrity: str, directory: Path) -> Path:
    """One package, unpacked, without what it depends on."""
    options = ["--silent", "--prefer-offline", "--ignore-scripts", "--fetch-retry-mintimeout=1000"]
    command = ["npm", "pack", *options, "--pack-destination", str(directory), name]
    result = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=100, check=False)
    assert result.returncode == 0, result.stderr
    archive = directory / result.stdout.strip()
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    assert f"sha512-{digest}" == integrity, f"{name} is not what it was: sha512-{digest}"
    with tarfile.open(archive) as files:
        files.extractall(directory, filter="data")
    return directory / "package"


def for_node(directory: Path, *scripts: Path) -> list[Path]:
    """Copies of scripts that a page loads, as Node finds them: `/client.js` is the copy next to it, with its parts."""
    copies = []
    for script in scripts:
        copies.append(directory / script.with_suffix(".mjs").name)
        text = script.read_text()
        for_node(directory, *(script.with_name(part) for part in re.findall(r'from "\./([\w-]+\.js)"', text)))
        copies[-1].write_text(re.sub(r'(from |import\()"\.?/([\w-]+)\.js"', r'\1"./\2.mjs"', text))
    return copies
