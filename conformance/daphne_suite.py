"""Daphne's own tests of HTTP and WebSockets, and why some of them fail."""

from peer_suite import PeerSuite

_OWN_HEADER = "`Daphne-Root-Path` is Daphne's own"
_NO_PORT = "`X-Forwarded-Port` is not read"
_OBSOLETE_TEXT = (
    "bytes above 127 in a value are legal (RFC 9110 §5.5) and come as Latin-1; the others of the test are refused"
)
_SAID_BY_UVICORN = "it is an error in the application, which hears of it in uvicorn's words; the client gets no answer"
_DIFFERENCES = {
    "test_http_request::test_request_body_chunking": "a body comes in pieces as they arrive, whatever the option",
    "test_http_request::test_root_path_header": _OWN_HEADER,
    "test_http_request::test_x_forwarded_for_parsed": _NO_PORT,
    "test_http_response::test_headers_type": _SAID_BY_UVICORN,
    "test_http_response::test_headers": "an answer has a `Date` (RFC 9110 §6.6.1)",
    "test_http_response::test_status_code_required": _SAID_BY_UVICORN,
    "test_websocket::test_application_checker_": "it stops the reactor of Twisted, on which nothing runs here",
    "test_websocket::test_http_request_rejects_invalid_header_value_bytes": _OBSOLETE_TEXT,
    "test_websocket::test_root_path": _OWN_HEADER,
    "test_websocket::test_websocket_max_frame_size": "messages are limited, in however many frames",
    "test_websocket::test_websocket_upgrade_rejects_smuggled_headers": _OBSOLETE_TEXT,
    "test_websocket::test_xff": _NO_PORT,
}

SUITE = PeerSuite(
    package="daphne",
    version="4.2.3",
    folder="tests",
    files=["test_http_request", "test_http_response", "test_websocket"],
    conftest="daphne_conftest.py",
    seconds=40,
    differences=_DIFFERENCES,
)
