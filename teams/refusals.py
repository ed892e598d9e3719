"""How a use case of teams says no."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class Refused(Exception):
    """What was asked cannot be done; ``sentence`` says why, ``field`` beside which field."""

    def __init__(self, sentence: "StrOrPromise", *, field: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.field = field
