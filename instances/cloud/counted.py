"""A session with a cloud whose questions are counted: how many, how they ended, how long it took.

Labels say which account (by its id) and which service, never an address, a name or a path.
"""

import time
from typing import Any

from keystoneauth1 import exceptions, session

from teams import tally

SERVICES = {"compute", "image", "network", "identity"}
NO_ANSWER = "none"


class CountedSession(session.Session):
    """keystoneauth's session; ``account`` is what its questions are counted for."""

    def __init__(self, *args: Any, account: str, auth_url: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._account, self._auth_url = account, auth_url.rstrip("/")

    def request(  # type: ignore[override]
        self, url: str, method: str, **kwargs: Any
    ) -> Any:
        """Ask as keystoneauth does, and count the question, however it ends."""
        begun, code = time.monotonic(), NO_ANSWER
        try:
            response = super().request(url, method, **kwargs)
            code = str(response.status_code)
        except exceptions.HttpError as error:
            code = str(error.http_status)
            raise
        else:
            return response
        finally:
            service = self._service(url, kwargs.get("endpoint_filter"))
            tally.add("upstream", account=self._account, service=service, code=code)
            tally.add_duration("upstream", time.monotonic() - begun, service=service)

    def _service(self, url: str, wanted: dict[str, Any] | None) -> str:
        kind = (wanted or {}).get("service_type")
        if kind in SERVICES:
            return str(kind)
        # Signing in names no service, nor does asking one for its versions.
        return "identity" if self._auth_url and url.startswith(self._auth_url) else "other"
