"""Count failed sign-ins, so that passwords cannot be guessed by trying."""

import hashlib
import logging

from django.core.cache import cache
from django.http import HttpRequest

logger = logging.getLogger(__name__)

ALLOWED, WITHIN = 10, 5 * 60


def key(request: HttpRequest) -> str:
    """Name who is trying what: one address for one account, so nobody locks others out."""
    tried = f"{request.META.get('REMOTE_ADDR')}|{request.POST.get('username', '').lower()[:254]}"
    return "sign-in:" + hashlib.sha256(tried.encode()).hexdigest()


def too_many(who: str) -> bool:
    """Tell whether this one has to wait; with the cache away nobody has."""
    try:
        return int(cache.get(who, 0)) >= ALLOWED
    except Exception:
        logger.warning("sign-in attempts are not counted: the cache is away")
        return False


def count(who: str) -> None:
    """Count one failed try."""
    try:
        cache.add(who, 0, WITHIN)
        cache.incr(who)
    except Exception:
        logger.warning("sign-in attempts are not counted: the cache is away")
