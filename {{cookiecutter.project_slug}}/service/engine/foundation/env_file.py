"""`.env`, as editors and shells of every kind write it: read whole, or refused in a line that says where."""

import codecs
from io import StringIO
from pathlib import Path

from dotenv.parser import parse_stream

_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
"""What a file may begin with, to say how it is encoded: Windows' editors and shells write all three."""


class EnvFileError(Exception):
    """The file cannot be read. The message is one line that names it."""


def encoding_of(file: Path) -> str:
    """The encoding in which all of the file makes sense. One that is not there, or is a directory, is none.

    Raises:
        EnvFileError: There is no such encoding, or a statement in it would be passed over.
    """
    try:
        if not file.is_file():
            return "utf-8"
        encoding, text = _decoded(file.read_bytes())
    except OSError as error:
        raise EnvFileError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise EnvFileError(f"{file} is not a text in UTF-8{error}: save it as one") from None
    for statement in parse_stream(StringIO(text)):
        if statement.error:
            started = statement.original.string
            line = statement.original.line + started[: len(started) - len(started.lstrip())].count("\n")
            raise EnvFileError(f"{file}, line {line}: this is not NAME=VALUE, or a quotation mark is missing")
    return encoding


def _decoded(content: bytes) -> tuple[str, str]:
    """Raises: ValueError, with the place as its message."""
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f" (line {line})") from None
    if "\0" in text:
        raise ValueError("")
    return encoding, text
