"""Serve HTTP: Django's pages and, beside them, the live stream."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rescuepanel.settings")

application = get_asgi_application()
