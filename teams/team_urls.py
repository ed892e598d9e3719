"""The pages about teams, invitations and keys."""

from django.urls import path

from teams.views import invitations, keys, members, team, trail

urlpatterns = [
    path("teams", team.my_teams, name="list"),
    path("teams/new", team.new, name="new"),
    path("teams/<int:pk>/leave", team.leave, name="leave"),
    path("teams/<int:pk>/members", members.members, name="members"),
    path("teams/<int:pk>/members/<int:member>", members.member, name="member"),
    path("teams/<int:pk>/members/<int:member>/remove", members.remove, name="member_remove"),
    path("teams/<int:pk>/invitations", invitations.of_team, name="invitations"),
    path(
        "teams/<int:pk>/invitations/<int:invitation>/resend",
        invitations.resend,
        name="invitation_resend",
    ),
    path(
        "teams/<int:pk>/invitations/<int:invitation>/withdraw",
        invitations.withdraw,
        name="invitation_withdraw",
    ),
    path("teams/<int:pk>/keys", keys.of_team, name="keys"),
    path("teams/<int:pk>/keys/<int:key>/delete", keys.delete_of_team, name="key_delete"),
    path("account/keys", keys.mine, name="account_keys"),
    path("account/keys/<int:key>/delete", keys.delete_mine, name="account_key_delete"),
    path("invitations/<str:token>", invitations.of_link, name="invitation"),
    path("teams/<int:pk>/trail", trail.trail, name="trail"),
    path("teams/<int:pk>/trail.csv", trail.trail_csv, name="trail_csv"),
    path("teams/<int:pk>/trail.jsonl", trail.trail_jsonl, name="trail_jsonl"),
]
