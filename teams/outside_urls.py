"""The addresses about what is told outside."""

from django.urls import path

from teams.views import notifications, webhooks

ONE = "teams/<int:pk>/webhooks/<int:hook>"

urlpatterns = [
    path("teams/<int:pk>/notifications", notifications.notifications, name="notifications"),
    path("teams/<int:pk>/webhooks", webhooks.webhook_list, name="webhooks"),
    path("teams/<int:pk>/webhooks/new", webhooks.add, name="webhook_add"),
    path(ONE, webhooks.webhook, name="webhook"),
    path(f"{ONE}/change", webhooks.change, name="webhook_change"),
    path(f"{ONE}/test", webhooks.test, name="webhook_test"),
    path(f"{ONE}/secret", webhooks.secret, name="webhook_secret"),
    path(f"{ONE}/delete", webhooks.delete, name="webhook_delete"),
    path(f"{ONE}/deliveries", webhooks.log, name="webhook_log"),
    path(f"{ONE}/deliveries/<uuid:message>/resend", webhooks.resend, name="webhook_resend"),
]
