"""Plumbing: settings, Celery, routes and the live stream. No domain word in here."""

from .celery import app as celery_app

__all__ = ["celery_app"]
