"""An account's cloud, opened once in each process."""

import threading
from typing import Any

from instances.cloud.door import Cloud, translated
from instances.cloud.errors import BadCredentials
from teams.secrets import CannotOpen

_opened: dict[tuple[int, int], Cloud] = {}
_opening = threading.Lock()


def open_account(account: Any) -> Cloud:
    """Return this process's connection to a ``CloudAccount``, opened once for each credential.

    Raise ``BadCredentials`` when the credential cannot be unsealed or makes no sense.
    """
    key = (account.pk, account.credential_version)
    with _opening:
        if key not in _opened:
            opened = _open(account)
            for old in [one for one in _opened if one[0] == account.pk]:
                del _opened[old]  # of a credential that has been replaced
            _opened[key] = opened
        return _opened[key]


@translated
def _open(account: Any) -> Cloud:
    try:
        credential = account.credential()
        return Cloud(credential, region_name=account.region_name, account=str(account.pk))
    except CannotOpen as error:
        raise BadCredentials(str(error)) from None
