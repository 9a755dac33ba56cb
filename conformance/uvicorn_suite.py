"""uvicorn's own tests of HTTP and WebSockets, of the version in use, and why some of them fail."""

from importlib.metadata import version

from peer_suite import PeerSuite

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
_DIFFERENCES = {
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

SUITE = PeerSuite(
    package="uvicorn",
    version=version("uvicorn"),
    folder="tests/protocols",
    files=["test_http", "test_websocket"],
    conftest="uvicorn_conftest.py",
    seconds=4,
    differences=_DIFFERENCES,
)
