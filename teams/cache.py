"""A cache whose absence is borne: limits and one-time marks go uncounted, nobody is locked out."""

import logging
from typing import Any

from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)


class ForgivingRedisCache(RedisCache):
    """Answer as an empty cache would while Redis is away: for what may be forgotten."""

    def add(self, *args: Any, **kwargs: Any) -> bool:
        """Say that nothing was there."""
        return bool(self._ask(super().add, True, *args, **kwargs))

    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        """Find nothing."""
        return self._ask(super().get, default, key, default, version)

    def get_many(self, keys: Any, version: Any = None) -> dict[Any, Any]:
        """Find nothing."""
        found: dict[Any, Any] = self._ask(super().get_many, {}, keys, version)
        return found

    def set_many(self, data: Any, *args: Any, **kwargs: Any) -> list[Any]:
        """Keep nothing."""
        left: list[Any] = self._ask(super().set_many, list(data), data, *args, **kwargs)
        return left

    def set(self, *args: Any, **kwargs: Any) -> None:
        """Keep nothing."""
        self._ask(super().set, None, *args, **kwargs)

    def touch(self, *args: Any, **kwargs: Any) -> bool:
        """Find nothing to keep longer."""
        return bool(self._ask(super().touch, False, *args, **kwargs))

    def delete(self, *args: Any, **kwargs: Any) -> bool:
        """Find nothing to delete."""
        return bool(self._ask(super().delete, False, *args, **kwargs))

    def incr(self, *args: Any, **kwargs: Any) -> int:
        """Count nothing."""
        return int(self._ask(super().incr, 0, *args, **kwargs))

    @staticmethod
    def _ask(method: Any, otherwise: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except (RedisError, OSError) as error:
            logger.warning(
                "limits on tries and marks are forgotten: the cache is away (%s)",
                type(error).__name__,
            )
            return otherwise
