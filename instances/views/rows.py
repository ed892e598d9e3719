"""What the list shows, written once for all who see the same."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from django.core.cache import caches
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.safestring import SafeString, mark_safe

from instances import rescue
from instances.models import Instance

T = TypeVar("T")

INDENTATION = re.compile(r"\s*\n\s*")
#: columns that no row shows
UNSEEN = frozenset({"seen_at", "listed_at", "search_text", "cloud_updated_at"})
SHOWN = [f.attname for f in Instance._meta.concrete_fields if f.attname not in UNSEEN]


def kept(cache: str, facts: Any, make: Callable[[], tuple[T, float | None]]) -> T:
    """Return what a cache holds for these facts in this language, or make it now.

    ``make`` returns it with the seconds to keep it for; None: as long as there is room.
    """
    named = repr((translation.get_language(), facts))
    key = hashlib.sha256(named.encode()).hexdigest()
    found: T | None = caches[cache].get(key)
    if found is not None:
        return found
    made, seconds = make()
    if seconds != 0:
        caches[cache].set(key, made, seconds)
    return made


def write(fragment: str, **context: Any) -> SafeString:
    """Render a fragment of the list, which knows nothing of the request, without indentation."""
    html = render_to_string(f"instances/{fragment}.html", context)
    return mark_safe(INDENTATION.sub("\n", html))  # noqa: S308 # nosec: escaped already


@dataclass(frozen=True)
class Row:
    """One instance in one person's list."""

    instance: Instance
    may_operate: bool
    says_team: bool = False
    #: whether the list lets one choose rows for a bulk action
    picking: bool = False

    @cached_property
    def html(self) -> SafeString:
        """The row as HTML: written anew only when something it shows has changed."""
        if self.tells_age:
            return write("_row", row=self)
        return kept("rows", self._facts(), lambda: (write("_row", row=self), None))

    @property
    def actions(self) -> list[rescue.MenuAction]:
        return rescue.menu(self.instance, may_operate=self.may_operate)

    @property
    def tells_age(self) -> bool:
        """Tell whether it shows a time that goes on."""
        return bool(self.instance.in_rescue_since or self.instance.open_rescue)

    def _facts(self) -> list[Any]:
        """Name all that a row is written from."""
        instance = self.instance
        return [
            self.may_operate, self.says_team, self.picking,
            instance.account.name, instance.account.region_name, instance.team.name,
            [getattr(instance, name) for name in SHOWN],
            bool(instance.broken_rescue),
        ]  # fmt: skip
