"""The table of every click."""

from django.urls import path

from instances.views import (
    accounts,
    grants,
    history,
    keystone,
    machine,
    panel,
    rescue,
    session,
    team_settings,
)
from instances.views import list as listing

app_name = "instances"

urlpatterns = [
    path("teams/<int:pk>/settings", team_settings.settings, name="team_settings"),
    path("", listing.instance_list, name="list"),
    path("instances/<int:pk>/row", listing.row, name="row"),
    path("instances/<int:pk>/history", history.history, name="history"),
    path("instances/<int:pk>/rescue", rescue.start_rescue, name="start_rescue"),
    path("instances/<int:pk>/exit", rescue.exit_rescue, name="exit_rescue"),
    path("instances/<int:pk>/reboot", rescue.hard_reboot, name="hard_reboot"),
    path("notifications", panel.notifications, name="notifications"),
    path("rescues/<uuid:pk>/password", panel.password, name="password"),
    path("rescues/<uuid:pk>/cancel", panel.cancel, name="cancel"),
    path("rescues/<uuid:pk>/dismiss", panel.dismiss, name="dismiss"),
    path("rescues/<uuid:pk>", session.session, name="session"),
    path("rescues/<uuid:pk>/report", session.download, name="report"),
    path("rescues/<uuid:pk>/extend", session.extend, name="extend"),
    path("rescues/<uuid:pk>/hand-over", session.hand_over, name="hand_over"),
    path("rescues/<uuid:pk>/note", session.note, name="note"),
    path("rescues/<uuid:pk>/machine", machine.machine, name="machine"),
    path("rescues/<uuid:pk>/machine/key", machine.accept_key, name="machine_key"),
    path("rescues/<uuid:pk>/machine/again", machine.try_again, name="machine_again"),
    path("rescues/<uuid:pk>/machine/look", machine.look, name="machine_look"),
    path("rescues/<uuid:pk>/machine/mount", machine.mount, name="machine_mount"),
    path("rescues/<uuid:pk>/machine/unmount", machine.unmount, name="machine_unmount"),
    path("rescues/<uuid:pk>/repairs/<slug:kind>", machine.repair, name="repair"),
    path("rescues/<uuid:pk>/jobs/<uuid:job>", machine.job, name="job"),
    path("rescues/<uuid:pk>/jobs/<uuid:job>/confirm", machine.confirm, name="job_confirm"),
    path("rescues/<uuid:pk>/jobs/<uuid:job>/undo", machine.undo, name="job_undo"),
    path("rescues/<uuid:pk>/jobs/<uuid:job>/drop", machine.drop, name="job_drop"),
    path("teams/<int:pk>/rescues", session.past, name="rescues"),
    path("rescues/<uuid:pk>/grant", grants.ask, name="grant_ask"),
    path("rescues/<uuid:pk>/grant/<int:grant>/allow", grants.allow, name="grant_allow"),
    path("rescues/<uuid:pk>/grant/<int:grant>/refuse", grants.refuse, name="grant_refuse"),
    path("rescues/<uuid:pk>/grant/<int:grant>/withdraw", grants.withdraw, name="grant_withdraw"),
    path("account/keystone", keystone.sign_in, name="keystone"),
    path("account/keystone/address", keystone.address, name="keystone_address"),
    path("account/keystone/confirm/<str:key>", keystone.confirm, name="keystone_confirm"),
    path("teams/<int:pk>/clouds", accounts.account_list, name="accounts"),
    path("teams/<int:pk>/clouds/connect", accounts.connect, name="account_connect"),
    path("teams/<int:pk>/clouds/<int:account>", accounts.account, name="account"),
    path("teams/<int:pk>/clouds/<int:account>/test", accounts.test, name="account_test"),
    path("teams/<int:pk>/clouds/<int:account>/rotate", accounts.rotate, name="account_rotate"),
    path("teams/<int:pk>/clouds/<int:account>/rename", accounts.rename, name="account_rename"),
    path("teams/<int:pk>/clouds/<int:account>/regions", accounts.regions, name="account_regions"),
    path(
        "teams/<int:pk>/clouds/<int:account>/disconnect",
        accounts.disconnect,
        name="account_disconnect",
    ),
]
