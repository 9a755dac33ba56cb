"""Runs uvicorn's own tests of HTTP and WebSockets, of the version in use, against the engine's classes."""

import os
import re
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).resolve().parent
PROJECT = next(HERE.parent.glob("*cookiecutter.project_slug*"))
BUILD = HERE.parent / "build" / "conformance"
FILES = ["test_http", "test_websocket"]
TOOLS = [
    "httpx2==2.16.2", "pytest==9.2.0", "pytest-mock==3.17.0", "pytest-timeout==2.4.0", "trustme==1.2.1",
    "wsproto==1.3.2",
]  # fmt: skip
_REASON_IS_GIVEN = "`websocket.disconnect` has a `reason`, which ASGI 2.3 asks for; the test expects none"
_CLOSED_WELL = "where its application returns or fails, a WebSocket is closed with a code and not just cut off"
_OWN_LIMIT = "messages are limited by `MAX_MESSAGE_BYTES`; uvicorn's `ws_max_size` is not read"
_OWN_HEARTBEAT = "the engine has a heartbeat of its own: uvicorn's class and its pings are not there to be looked at"
_NO_SERVER_HEADER = "uvicorn's default headers are not added to the answer to a handshake: the service sets none"
_OTHER_UPGRADE = "an `Upgrade` that is no handshake is read as if it were not there (RFC 9110 §7.8), without a warning"
_TOO_BIG = "test_websocket::test_send_binary_data_to_server_bigger_than_default_on_websockets"
_CLIENT_FAILS = (
    "the client gets the 1009 that is expected, then fails itself (`AttributeError` in asyncio) on leaving the "
    "closed connection"
)
_PROBLEM = "what cannot be read is answered with a JSON problem, not with uvicorn's line of text"
DIFFERENCES = {
    "test_http::test_invalid_http_request": _PROBLEM,
    "test_http::test_invalid_http": "the answer is sent and gets a second to be read before the socket is closed",
    "test_http::test_unsupported_ws_upgrade_request_warn_on_auto": _OTHER_UPGRADE,
    "test_http::test_supported_upgrade_request": "it has no key and is no handshake: it goes to the application",
    "test_http::test_header_upgrade_is_": _OTHER_UPGRADE,
    "test_websocket::test_invalid_upgrade": "what is no handshake goes to the application, which answers 426 in the "
    "service; the test's is none that could",
    "test_websocket::test_supports_permessage_deflate_extension": "compression is not negotiated",
    "test_websocket::test_duplicate_handshake": _CLOSED_WELL,
    "test_websocket::test_asgi_return_value": _CLOSED_WELL,
    "test_websocket::test_close_transport_on_asgi_return": _CLOSED_WELL,
    "test_websocket::test_connection_lost_before_handshake_complete": _REASON_IS_GIVEN,
    "test_websocket::test_send_close_on_server_shutdown": _REASON_IS_GIVEN,
    "test_websocket::test_server_reject_connection_with_invalid_status": "a status that cannot be sent ends in the "
    "engine's 500 with a JSON problem, not in uvicorn's text",
    "test_websocket::test_server_reject_connection_with_response": _REASON_IS_GIVEN,
    "test_websocket::test_server_reject_connection_with_multibody_response": _REASON_IS_GIVEN,
    "test_websocket::test_server_reject_connection_with_body_nolength": "",
    "test_websocket::test_server_reject_connection": _REASON_IS_GIVEN,
    f"{_TOO_BIG}[max=10 sent=11]": _OWN_LIMIT,
    f"{_TOO_BIG}[max=defaults sent=defaults+1]": _CLIENT_FAILS,
    "test_websocket::test_fragmented_message_exceeding_max_size": _OWN_LIMIT,
    "test_websocket::test_default_server_headers": _NO_SERVER_HEADER,
    "test_websocket::test_multiple_server_header": _NO_SERVER_HEADER,
    "test_websocket::test_server_keepalive_": _OWN_HEARTBEAT,
}
"""Why what uvicorn's tests expect is not what the engine does: by the beginning of the tests' names, first match first.

No reason: it is to pass.
"""


def outcomes() -> dict[str, str]:
    """Each test's outcome: passed, skipped or failed."""
    python, tests = _environment(), _sources()
    (tests / "protocols" / "conftest.py").write_text((HERE / "uvicorn_conftest.py").read_text())
    results, settings = BUILD / "uvicorn.xml", BUILD / "pytest.ini"
    settings.write_text("[pytest]\n")
    results.unlink(missing_ok=True)
    options: list[str | Path] = [
        "-q",
        "--tb=no",
        "--show-capture=no",
        "-p",
        "no:cacheprovider",
        "--timeout",
        "4",
        "-c",
        settings,
    ]
    subprocess.run(
        [python, "-m", "pytest", *options, "--rootdir", tests.parent, "--junitxml", results]
        + [tests / "protocols" / f"{name}.py" for name in FILES],
        cwd=tests.parent, env=os.environ | {"PYTHONPATH": f"{PROJECT}{os.pathsep}{tests.parent}"}, check=False,
    )  # fmt: skip
    return {_name(case): _outcome(case) for case in ElementTree.parse(results).iter("testcase")}  # noqa: S314 - our own


def section(tests: dict[str, str]) -> tuple[list[str], set[str]]:
    """Lines of RESULTS.md, and the tests that fail for no reason that we know."""
    failed = sorted(name for name, outcome in tests.items() if outcome == "failed")
    counts = [
        (
            name,
            *(sum(test.startswith(f"{name}::") and tests[test] == outcome for test in tests) for outcome in _OUTCOMES),
        )
        for name in FILES
    ]
    lines = [
        "## uvicorn's own tests",
        "",
        f"`test_http.py` and `test_websocket.py` of uvicorn {version('uvicorn')}, on the engine's classes.",
        "",
        "| file | passed | failed | skipped |",
        "| --- | --- | --- | --- |",
        *(f"| {name}.py | {passed} | {failures} | {skipped} |" for name, passed, failures, skipped in counts),
        "",
        "| test that fails | reason |",
        "| --- | --- |",
        *(f"| {name} | {_reason(name) or 'new'} |" for name in failed),
    ]
    return lines, {name for name in failed if not _reason(name)}


_OUTCOMES = ("passed", "failed", "skipped")


def _reason(name: str) -> str:
    return next((reason for beginning, reason in DIFFERENCES.items() if name.startswith(beginning)), "")


def _environment() -> Path:
    """A Python that has the service's dependencies, and the tests'."""
    python = BUILD / "peers" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", python.parent.parent], check=True)
        pip: list[str | Path] = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--requirement", PROJECT / "service" / "requirements.txt"], check=True)
        subprocess.run([*pip, *TOOLS], check=True)
    return python


def _sources() -> Path:
    """The tests, which only the source distribution has."""
    name = f"uvicorn-{version('uvicorn')}"
    if not (BUILD / name / "tests").exists():
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "uvicorn"]
        subprocess.run(
            [*pip, "--dest", BUILD, name.replace("-", "==")],
            check=True,
        )
        with tarfile.open(BUILD / f"{name}.tar.gz") as archive:
            tests = [member for member in archive if member.name.startswith(f"{name}/tests/")]
            archive.extractall(BUILD, tests, filter="data")
    return BUILD / name / "tests"


def _name(case: ElementTree.Element) -> str:
    return f"{re.sub(r'.*[.]', '', case.attrib['classname'])}::{case.attrib['name']}"


def _outcome(case: ElementTree.Element) -> str:
    kinds = {child.tag for child in case}
    if kinds & {"failure", "error"}:
        return "failed"
    return "skipped" if "skipped" in kinds else "passed"
