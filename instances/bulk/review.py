"""What a drafted bulk action would do: which can be done, with which images, what to know."""

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from instances import choices, wording
from instances.bulk.asked import MOST, why_not
from instances.choices import Note
from instances.models import Batch, Image, Instance, Job
from instances.picker import Access, ServerFacts, Verdict
from teams.models import CloudAccount

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

NAMED = 8  # names that a sentence lists at most


@dataclass(frozen=True)
class Offer:
    """An image for the chosen instances of one account."""

    ref: str
    name: str
    suits: int
    total: int
    #: those it does not suit, with the reason
    unsuited: "list[tuple[Instance, StrOrPromise]]"
    #: how one gets in, and into how many of them
    accesses: "list[tuple[str, StrOrPromise, int]]"
    warnings: "list[tuple[StrOrPromise, int]]"
    for_rescue: bool
    keeps_disks: bool
    recommended: bool = False

    @property
    def suits_all(self) -> bool:
        return self.suits == self.total


@dataclass(frozen=True)
class AccountOffers:
    account: CloudAccount
    total: int
    offers: list[Offer] = field(default_factory=list)

    @property
    def field(self) -> str:
        return f"image-{self.account.pk}"

    @property
    def first(self) -> list[Offer]:
        """Those to show at once: what suits them all, or else the best."""
        suiting = [offer for offer in self.offers if offer.suits_all]
        return suiting or self.offers[:1]

    @property
    def others(self) -> list[Offer]:
        shown = self.first
        return [offer for offer in self.offers if offer not in shown]


class Review:
    """A draft, looked at now."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    @cached_property
    def _rows(self) -> "list[tuple[Instance, StrOrPromise]]":
        rows = Instance.objects.with_panel_data().filter(batch_items__batch=self.batch)
        listed = rows.order_by("batch_items__position")
        return [(row, why_not(self.batch.kind, row)) for row in listed]

    @cached_property
    def possible(self) -> list[Instance]:
        return [row for row, reason in self._rows if not reason]

    @property
    def impossible(self) -> "list[tuple[Instance, StrOrPromise]]":
        return [(row, reason) for row, reason in self._rows if reason]

    @cached_property
    def accounts(self) -> list[AccountOffers]:
        """List the images for each cloud account; none for an exit, which needs none."""
        if not self.batch.is_start:
            return []
        of_account: dict[int, list[Instance]] = {}
        for row in self.possible:
            of_account.setdefault(row.account_id, []).append(row)
        return [offers_for(rows) for rows in of_account.values()]

    @cached_property
    def notes(self) -> list[Note]:
        """List what to know beforehand, counted."""
        return self._start_notes() if self.batch.is_start else self._exit_notes()

    @property
    def left_out(self) -> list[Note]:
        """Say what was chosen and is not part of it."""
        said = []
        if self.batch.over_limit:
            text = _("One bulk action takes up to {most} instances: {n} more were left out.")
            said.append(Note("warning", format_lazy(text, most=MOST, n=self.batch.over_limit)))
        if self.batch.of_other_teams:
            text = _("One bulk action is for one team: {n} instances of other teams were left out.")
            said.append(Note("warning", format_lazy(text, n=self.batch.of_other_teams)))
        return said

    def _start_notes(self) -> list[Note]:
        rows = self.possible
        text = _("Each instance is shut down and started again from the image you pick.")
        notes = [
            Note("info", text),
            Note("info", _("Its own disk is attached as an additional disk; nothing on it is "
                           "changed.")),
        ]  # fmt: skip
        off = sum(row.vm_state == "stopped" for row in rows)
        # Where the password may go through the metadata, each image says into how many it gets.
        bare = sum(not row.config_drive and not choices.takes_hash(row) for row in rows)
        counted = (
            (off, ngettext_lazy(
                "{n} of them is off now: after the exit it will be running.",
                "{n} of them are off now: after the exit they will be running.", off)),
            (bare, ngettext_lazy(
                "{n} of them has no config drive, so no temporary password can reach it.",
                "{n} of them have no config drive, so no temporary password can reach them.", bare,
            )),
        )  # fmt: skip
        return notes + [Note("warning", format_lazy(said, n=n)) for n, said in counted if n]

    def _exit_notes(self) -> list[Note]:
        rescues = {row.open_rescue.pk: row for row in self.possible if row.open_rescue}
        jobs = Job.objects.filter(rescue__in=rescues).select_related("rescue")
        busy = {job.rescue_id for job in jobs if job.under_way or job.problem == "still_going"}
        mounted = [
            row for row in self.possible
            if (machine := getattr(row.open_rescue, "machine", None))
            and machine.disks and machine.disks.mounted_at("/mnt")
        ]  # fmt: skip
        notes = []
        if busy:
            text = _("Something is still being done on {names}. Leaving now cuts it off in the "
                     "middle, which can damage the disk.")  # fmt: skip
            notes.append(Note("warning", format_lazy(text, names=named(rescues[r] for r in busy))))
        if mounted:
            text = _("Still mounted on /mnt when the panel last looked: {names}.")
            notes.append(Note("warning", format_lazy(text, names=named(mounted))))
        return [
            *notes,
            Note("warning", _("Unmount the disks first, so that nothing is lost: umount /mnt")),
            Note("info", _("Each instance is shut down and boots normally from its own disk.")),
            Note("info", _("The temporary passwords are destroyed.")),
        ]


def named(rows: object) -> str:
    """List names, the first few of many."""
    names = [str(row) for row in rows]  # type: ignore[attr-defined]
    return ", ".join(names[:NAMED]) + ("…" if len(names) > NAMED else "")


def offers_for(rows: list[Instance]) -> AccountOffers:
    """Judge the images of the account of these instances for all of them, the best first."""
    account = rows[0].account
    images = {image.image_id: image for image in account.images.all()}
    facts = {row.pk: choices.facts_with(row, images.get(row.image_id)) for row in rows}
    own = choices.profiles()
    ranked = []
    for image in images.values():
        # Hundreds of servers differ in few of the facts that the rules ask for.
        verdicts = {one: choices.judge(image, one, account.team, own) for one in {*facts.values()}}
        offer = _offer(image, rows, facts, verdicts)
        if offer.suits:
            suiting = [one.preference for one in verdicts.values() if not one.unsuitable]
            ranked.append((-offer.suits, max(suiting), image.name.lower(), offer))
    ranked.sort(key=lambda entry: entry[:3])
    offers = [entry[3] for entry in ranked]
    return AccountOffers(account, len(rows), _with_recommended(offers))


def _with_recommended(offers: list[Offer]) -> list[Offer]:
    return [
        Offer(**{**vars(offer), "recommended": number == 0}) for number, offer in enumerate(offers)
    ]


def _offer(
    image: Image,
    rows: list[Instance],
    facts: dict[int, ServerFacts],
    verdicts: dict[ServerFacts, Verdict],
) -> Offer:
    judged = [(row, verdicts[facts[row.pk]]) for row in rows]
    suiting = [verdict for _row, verdict in judged if not verdict.unsuitable]
    labels = {verdict.access: choices.access_label(verdict) for verdict in suiting}
    accesses = Counter(verdict.access for verdict in suiting)
    warned = Counter(code for verdict in suiting for code in verdict.warnings)
    return Offer(
        ref=image.image_id,
        name=image.name,
        suits=len(suiting),
        total=len(rows),
        unsuited=[
            (row, wording.UNSUITABLE.get(verdict.unsuitable, ""))
            for row, verdict in judged
            if verdict.unsuitable
        ],
        accesses=[(way.value, labels[way], accesses[way]) for way in Access if way in accesses],
        warnings=[(wording.WARNINGS[code], number) for code, number in warned.items()],
        for_rescue=any(verdict.for_rescue for verdict in suiting),
        keeps_disks=any(verdict.keeps_disks for verdict in suiting),
    )
