"""Count failed sign-ins, so that passwords cannot be guessed by trying."""

import hashlib

from django.core.cache import cache
from django.http import HttpRequest

#: for one account from one address, and for all accounts from one address
ALLOWED, ALLOWED_IN_ALL, WITHIN = 10, 100, 5 * 60


def begin(request: HttpRequest, account: str = "") -> bool:
    """Count a try before it is made; tell whether it may be made.

    Nobody locks others out: from another address the account stays open. What is tried is the
    account with the posted user name, unless it is one of another kind.
    """
    limits = zip(_keys(request, account), (ALLOWED, ALLOWED_IN_ALL), strict=True)
    return all(_count(key) <= allowed for key, allowed in limits)


def succeeded(request: HttpRequest, account: str = "") -> None:
    """Forget the tries for this account; the others from its address remain."""
    one, all_of_them = _keys(request, account)
    cache.delete(one)
    _count(all_of_them, -1)


def once(what: str, seconds: int) -> bool:
    """Tell whether this is the first time in a while."""
    return cache.add("once:" + _hashed(what), 1, seconds)


def too_many(request: HttpRequest, what: str, allowed: int) -> bool:
    """Count something an address does; tell whether it does it more often than so a minute."""
    return _count(f"{what}:{_hashed(_address(request))}", within=60) > allowed


def too_often(what: str, allowed: int, within: int) -> bool:
    """Count something that is done; tell whether it is done more often than so in these seconds."""
    return _count(_hashed(what), within=within) > allowed


def _keys(request: HttpRequest, account: str) -> tuple[str, str]:
    tried = account or request.POST.get("username", "").strip().lower()[:254]
    address = _address(request)
    return f"sign-in:{_hashed(f'{address}|{tried}')}", f"sign-in:{_hashed(address)}"


def _address(request: HttpRequest) -> str:
    return str(request.META.get("REMOTE_ADDR"))


def _hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _count(key: str, by: int = 1, within: int = WITHIN) -> int:
    cache.add(key, 0, within)
    try:
        return cache.incr(key, by)
    except ValueError:  # it ended between the two lines
        return 1
