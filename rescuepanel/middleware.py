"""Number each request and send the security headers."""

import re
import uuid
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponseBase
from django.middleware.gzip import GZipMiddleware

type_of_get_response = Callable[[HttpRequest], HttpResponseBase]

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
PERMISSIONS_POLICY = ", ".join(
    f"{feature}=()"
    for feature in [
        "accelerometer",
        "camera",
        "geolocation",
        "gyroscope",
        "magnetometer",
        "microphone",
        "payment",
        "usb",
    ]
)
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


def request_id(get_response: type_of_get_response) -> type_of_get_response:
    """Bind one id to all that this request logs; take the proxy's if it is a plain one."""

    def handle(request: HttpRequest) -> HttpResponseBase:
        given = request.headers.get("X-Request-ID", "")
        number = given if _SAFE_ID.fullmatch(given) else uuid.uuid4().hex
        with structlog.contextvars.bound_contextvars(request_id=number):
            response = get_response(request)
        response.headers["X-Request-ID"] = number
        return response

    return handle


def security_headers(get_response: type_of_get_response) -> type_of_get_response:
    """Add what browsers must enforce; Django's own middleware adds the rest."""

    def handle(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return response

    return handle


class Compressed(GZipMiddleware):
    """Compress pages; against BREACH Django adds random bytes, and forms have changing tokens."""

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        # Django makes each piece of an asynchronous stream a gzip file of its own, and browsers
        # read the first: an export would end after its head.
        return response if response.streaming else super().process_response(request, response)
