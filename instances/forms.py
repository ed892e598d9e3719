"""What people send: the start of a rescue, and the view of the list they ask for."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from instances.rescue import Picker


class StartRescueForm(forms.Form):
    image = forms.CharField(
        max_length=64,
        error_messages={
            "required": _("Pick one of the images."),
            "max_length": _("Pick one of the images in the list."),
        },
    )
    idempotency_key = forms.UUIDField(
        error_messages={
            "required": _("This form is incomplete. Open it again."),
            "invalid": _("This form was changed on its way. Open it again."),
        }
    )

    @property
    def forged(self) -> bool:
        """Tell whether the part that people do not fill in was tampered with."""
        return "idempotency_key" in self.errors

    @property
    def forgery(self) -> str:
        return str(self.errors["idempotency_key"][0]) if self.forged else ""

    def selected(self, picker: Picker) -> str:
        """Return the image to tick: the one sent, if it can be used, else the best one."""
        sent: Any = self.data.get("image", "") if self.is_bound else ""
        if any(choice.ref == sent for choice in picker.choices):
            return str(sent)
        return picker.preselected.ref if picker.preselected else ""
