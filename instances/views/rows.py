"""A row of the list, written once for all who see the same."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

from django.core.cache import caches
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.safestring import SafeString

from instances import rescue
from instances.models import Instance

#: columns that no row shows
UNSEEN = frozenset({"seen_at", "search_text", "cloud_updated_at"})
SHOWN = [f.attname for f in Instance._meta.concrete_fields if f.attname not in UNSEEN]


@dataclass(frozen=True)
class Row:
    """One instance in one person's list."""

    instance: Instance
    may_operate: bool
    says_team: bool = False

    @cached_property
    def html(self) -> SafeString:
        """The row as HTML: written anew only when something it shows has changed."""
        key = self._key()
        kept: SafeString | None = caches["rows"].get(key)
        if kept is None:
            kept = render_to_string("instances/_row.html", {"row": self})
            caches["rows"].set(key, kept)
        return kept

    @property
    def actions(self) -> list[rescue.MenuAction]:
        return rescue.menu(self.instance, may_operate=self.may_operate)

    def _key(self) -> str:
        """Name all that a row is written from, and the second where it tells an age."""
        instance = self.instance
        opened, broken = instance.open_rescue, instance.broken_rescue
        facts = [
            translation.get_language(), self.may_operate, self.says_team,
            instance.account.name, instance.account.region_name, instance.team.name,
            [getattr(instance, name) for name in SHOWN],
            broken and broken.pk,
            opened and (opened.pk, opened.version, str(opened.requested_by)),
        ]  # fmt: skip
        if instance.in_rescue_since or opened:
            facts.append(int(timezone.now().timestamp()))
        return hashlib.sha256(repr(facts).encode()).hexdigest()
