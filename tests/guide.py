"""Applies the code of a guide to a project, as its reader would."""

import ast
import re
from pathlib import Path

_BLOCK = re.compile(
    r"^```(?:python|js|toml|yaml)\n(?:#|//) (\S+)( \(what is added\))?\n(.*?)^```$", re.MULTILINE | re.DOTALL
)


def apply(guide: Path, project: Path) -> list[str]:
    """Write the files that the guide shows, and add to those that it adds to; returns their names."""
    names = []
    for path, added, text in _BLOCK.findall(guide.read_text()):
        file = project / path
        if added:
            file.write_text(_with(file.read_text(), text))
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        names.append(path)
    return names


def _with(app: str, addition: str) -> str:
    """`app.py` with the imports and the items of the lists that a guide adds."""
    *imports, assignment = ast.parse(addition).body
    assert isinstance(assignment, ast.Assign)
    call = assignment.value
    assert isinstance(call, ast.Call)
    for keyword in call.keywords:
        assert isinstance(keyword.value, ast.List)
        items = ", ".join(ast.unparse(item) for item in keyword.value.elts[1:])
        found = re.search(rf"\b{keyword.arg}=\[(.*?)\]", app, re.DOTALL)
        if found:
            listed = found[1].strip().rstrip(",")
            app = app.replace(found[0], f"{keyword.arg}=[{f'{listed}, ' if listed else ''}{items}]")
        else:
            app = app.replace("Application(", f"Application(\n    {keyword.arg}=[{items}],", 1)
    lines = "\n".join(ast.unparse(line) for line in imports)
    return app.replace("from service.engine", f"{lines}\nfrom service.engine", 1)
