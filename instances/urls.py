"""The table of every click."""

from django.urls import path

from instances.views import list as listing
from instances.views import panel, rescue

app_name = "instances"

urlpatterns = [
    path("", listing.instance_list, name="list"),
    path("instances/<int:pk>/row", listing.row, name="row"),
    path("instances/<int:pk>/rescue", rescue.start_rescue, name="start_rescue"),
    path("instances/<int:pk>/exit", rescue.exit_rescue, name="exit_rescue"),
    path("instances/<int:pk>/reboot", rescue.hard_reboot, name="hard_reboot"),
    path("notifications", panel.notifications, name="notifications"),
    path("rescues/<uuid:pk>/password", panel.password, name="password"),
    path("rescues/<uuid:pk>/cancel", panel.cancel, name="cancel"),
    path("rescues/<uuid:pk>/dismiss", panel.dismiss, name="dismiss"),
]
