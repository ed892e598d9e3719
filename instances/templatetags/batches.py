"""What the review of a bulk action asks its form for."""

from django import template

from instances.batch_forms import StartManyForm
from instances.bulk.review import AccountOffers

register = template.Library()


@register.simple_tag
def selected_image(form: StartManyForm, group: AccountOffers) -> str:
    """Return the image to tick for an account."""
    return form.selected(group)


@register.simple_tag
def image_error(form: StartManyForm, group: AccountOffers) -> str:
    """Return what is wrong with the choice for an account."""
    wrong = form.errors.get(group.field)
    return str(wrong[0]) if wrong else ""
