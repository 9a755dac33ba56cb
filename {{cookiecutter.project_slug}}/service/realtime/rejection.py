"""The answer to a handshake that is none: in our form, and without what came."""

from http import HTTPStatus

from websockets.datastructures import Headers
from websockets.http11 import Response

from service.wire import Refused


def rejection(status: HTTPStatus | int, _text: str = "") -> Response:
    """What a refused handshake is answered; websockets would quote the header at fault, which may hold a token."""
    status = HTTPStatus(status)
    code = "internal_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_handshake"
    body = Refused(code=code, message=f"{status.phrase}.", close_code=1008).encode()
    headers = Headers({"Connection": "close", "Content-Type": "application/json", "Content-Length": str(len(body))})
    return Response(status, status.phrase, headers, body)
