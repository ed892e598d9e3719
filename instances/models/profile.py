"""What the operator knows of images: see instances.profiles."""

from django.db import models

from instances import profiles


class ImageProfile(models.Model):
    """Whom one logs in as on an image, how, and where its password is printed."""

    #: a name, with * for anything, or an id
    image = models.CharField(max_length=255, unique=True)
    user = models.CharField(max_length=32, blank=True)
    access = models.CharField(max_length=10, blank=True)
    printed_line = models.CharField(max_length=300, blank=True)

    def __str__(self) -> str:
        return self.image

    @property
    def known(self) -> profiles.Profile:
        return profiles.Profile(self.image, self.user, self.access, self.printed_line)


def operators_profile(name: str, image_id: str) -> profiles.Profile | None:
    """Find what the operator said of an image."""
    own = [row.known for row in ImageProfile.objects.all()]
    return profiles.profile_of(name, image_id, own)
