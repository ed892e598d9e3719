"""What can go wrong with a cloud, told by what it means for the call that was sent."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from instances.cloud.facts import text_of


class CloudError(Exception):
    """The cloud did not do what was asked. ``str()`` is the cloud's own sentence, never a secret.

    ``kind`` says what that means for a call that was sent:
    invalid, forbidden, gone: Nova said no, nothing was done;
    conflict: no, or the echo of our own earlier call;
    limited, credentials, refused: not even looked at;
    silent, broken: nobody knows.
    """

    kind = "broken"

    def __init__(
        self, sentence: str = "", *, request_id: str = "", retry_after: float = 0, status: int = 0
    ) -> None:
        super().__init__(sentence)
        self.request_id = request_id
        self.retry_after = retry_after
        self.status = status  # of HTTP; 0 when there was no answer


class Invalid(CloudError):
    """400: the request itself is wrong for this server or image."""

    kind = "invalid"


class Forbidden(CloudError):
    """403: the credential's role may not."""

    kind = "forbidden"


class Gone(CloudError):
    """404 in Nova's own words: no such server, or not in this project."""

    kind = "gone"


class Conflict(CloudError):
    """409: not in this state, or locked."""

    kind = "conflict"


class Limited(CloudError):
    """429: too many requests; try again after ``retry_after`` seconds."""

    kind = "limited"


class BadCredentials(CloudError):
    """Keystone or Nova does not accept the credential."""

    kind = "credentials"


class Refused(CloudError):
    """The panel itself does not connect there; the sentence is the reason's code, see ``guard``."""

    kind = "refused"

    def __init__(self, reason: str, *, host: str = "") -> None:
        super().__init__(f"{reason}: {host}" if host else reason)
        self.reason = reason
        self.host = host


class Silent(CloudError):
    """No answer: refused, reset or timed out."""

    kind = "silent"


class Broken(CloudError):
    """5xx, or an answer that makes no sense."""


class TooOld(Broken):
    """The cloud's Nova does not speak a microversion that we need."""


LONGEST_WAIT = 300.0  # seconds; no cloud puts us off for longer
_BY_STATUS: dict[int, type[CloudError]] = {
    400: Invalid,
    401: BadCredentials,
    403: Forbidden,
    404: Gone,
    409: Conflict,
    413: Limited,
    429: Limited,
}


def checked(response: Any) -> dict[str, Any]:
    """Return the JSON of an answer, {} for an empty one; raise what its status means."""
    if response.status_code < 300:
        if not response.content:
            return {}
        body = response.json()
        if not isinstance(body, dict):
            raise Broken("unexpected answer")
        return body
    kind = _BY_STATUS.get(response.status_code, Broken)
    if kind is Gone and not _from_service(response):
        kind = Broken  # a proxy's 404 says nothing of the server
    raise kind(
        _sentence(response),
        request_id=request_id_of(response),
        retry_after=_seconds(response.headers.get("Retry-After", "")),
        status=response.status_code,
    )


def request_id_of(response: Any) -> str:
    """Return the id under which the cloud knows what was asked, as long as a column holds."""
    return text_of(response.headers.get("x-openstack-request-id"), 64)


def _sentence(response: Any) -> str:
    """Take Nova's own words out of ``{"badRequest": {"message": ...}}``."""
    try:
        (fault,) = response.json().values()
        return text_of(fault["message"], 500)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return f"HTTP {response.status_code}"


def _from_service(response: Any) -> bool:
    """Tell whether OpenStack itself answered: Nova's errors are JSON, a proxy's are pages."""
    try:
        return isinstance(response.json(), dict)
    except (ValueError, RecursionError):
        return False


def _seconds(header: str) -> float:
    """Read a Retry-After: seconds, or the moment until which to wait."""
    if header.isascii() and header.isdigit():
        return min(float(header), LONGEST_WAIT)
    moment = moment_of(header)
    left = (moment - datetime.now(UTC)).total_seconds() if moment else 0.0
    return min(max(0.0, left), LONGEST_WAIT)


def moment_of(header: str) -> datetime | None:
    """Read a date as HTTP writes it; None for what is none."""
    try:
        moment = parsedate_to_datetime(header)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError):
        return None
