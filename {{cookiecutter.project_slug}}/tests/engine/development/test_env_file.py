"""`.env` is read as any editor or shell may have written it, or refused in one line that says where."""

import codecs
import os
import threading
from pathlib import Path

import pytest

from service.engine.foundation.settings import Settings, SettingsError, load_settings

READ: dict[str, bytes] = {
    "as it should be": b"PORT=7\n",
    "UTF-8 with a mark": codecs.BOM_UTF8 + b"PORT=7\n",
    "UTF-16, as PowerShell writes it": codecs.BOM_UTF16_LE + "# é\r\nPORT=7\r\n".encode("utf-16-le"),
    "UTF-16, the other way round": codecs.BOM_UTF16_BE + "PORT=7\n".encode("utf-16-be"),
    "lines of Windows": b"LOG_LEVEL=INFO\r\nPORT=7\r\n",
    "lines of an old Macintosh": b"LOG_LEVEL=INFO\rPORT=7\r",
    "no line end": b"PORT=7",
    "written for a shell": b"#!/bin/sh\nexport PORT='7'  # the port\nexport LOG_LEVEL=\"INFO\"\n",
    "blanks": b"  PORT = 7  \n\n\t\nHOST=\nWEB_CONCURRENCY=   \n",
    "variables of others": b"VITE_API=x\nAWS_PROFILE\nJAVA_OPTS='-Da=\"b\" -Dc'\nPORT=7\n",
    "one that stands for another": b"BASE=7\nPORT=${BASE}\n",
    "twice": b"PORT=6\nPORT=7\n",
}
REFUSED: dict[str, tuple[bytes, str]] = {
    "Latin-1": (
        "# fine\nPASSWORD=é\nPORT=7\n".encode("latin-1"),
        ".env is not a text in UTF-8 (line 2): save it as one",
    ),
    "UTF-16 without a mark": ("PORT=7\n".encode("utf-16-le"), ".env is not a text in UTF-8: save it as one"),
    "half of a UTF-16": (codecs.BOM_UTF16_LE + b"P\0O\0R", ".env is not a text in UTF-8 (line 1): save it as one"),
    "no text": (b"PORT=7\n\0\0\0", ".env is not a text in UTF-8: save it as one"),
    "a quotation without an end": (b"\n\nHOST=::1\n\n\nPORT='7\nLOG_LEVEL=INFO\n", ".env, line 6: "),
    "YAML": (b"HOST: 127.0.0.1\nPORT: 7\n", ".env, line 1: "),
    "commands": (b"PORT=7\nif [ -n x ]; then\n", ".env, line 2: "),
}


@pytest.fixture(autouse=True)
def in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("content", READ.values(), ids=READ)
def test_it_is_read(content: bytes) -> None:
    Path(".env").write_bytes(content)
    settings = load_settings(Settings)
    assert (settings.port, settings.host, settings.web_concurrency) == (7, "127.0.0.1", 1)


@pytest.mark.parametrize(("content", "why"), REFUSED.values(), ids=REFUSED)
def test_what_would_be_passed_over_is_refused(content: bytes, why: str) -> None:
    Path(".env").write_bytes(content)
    with pytest.raises(SettingsError) as refused:
        load_settings(Settings)
    assert str(refused.value).startswith(why)
    assert len(str(refused.value).splitlines()) == 1


def test_one_that_must_not_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("PORT=7")

    def forbidden(_path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    with pytest.raises(SettingsError, match=r"^\.env cannot be read: Permission denied$"):
        load_settings(Settings)


@pytest.mark.parametrize("kind", ["nothing", "directory", "link to nothing", "link to itself"])
def test_what_is_no_file_is_passed_over(kind: str) -> None:
    if kind == "directory":  # some call their virtual environment so; Docker makes one of a mount that is not there
        Path(".env").mkdir()
    elif kind != "nothing":
        Path(".env").symlink_to(".env" if kind == "link to itself" else "nowhere")
    assert load_settings(Settings).port == 8000


def test_a_pipe_is_read_once() -> None:
    """Managers of secrets offer one instead of a file."""
    os.mkfifo(".env")
    writer = threading.Thread(target=Path(".env").write_text, args=["PORT=7"], daemon=True)
    writer.start()
    assert load_settings(Settings).port == 7
    writer.join(5)


def test_a_variable_counts_more_and_an_empty_one_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("PORT=7\nHOST=::1\nLOG_LEVEL=ERROR\n")
    monkeypatch.setenv("PORT", "8")
    monkeypatch.setenv("HOST", "")
    monkeypatch.setenv("LOG_LEVEL", "  ")
    settings = load_settings(Settings)
    assert (settings.port, settings.host) == (8, "::1")


@pytest.mark.parametrize("environment", ["production", " production\n"])
def test_outside_development_it_is_not_even_opened(environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_bytes(b"PORT=\xff")
    monkeypatch.setenv("ENVIRONMENT", environment)
    monkeypatch.setenv("DATABASE_URL", "postgresql://localhost/x")
    monkeypatch.setenv("SECRET_KEY", "k" * 32)
    assert load_settings(Settings).host == "0.0.0.0"


@pytest.mark.parametrize("environment", ["", "  ", "development", " development "])
def test_in_development_it_is(environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("PORT=7")
    monkeypatch.setenv("ENVIRONMENT", environment)
    assert load_settings(Settings).port == 7
