"""Signing in and out."""

from django.urls import path

from teams import outside_urls, team_urls
from teams.views import address, myself, sign_in, staff, staff_access

app_name = "teams"

urlpatterns = [
    path("sign-in", sign_in.sign_in, name="sign_in"),
    path("sign-out", sign_in.sign_out, name="sign_out"),
    *team_urls.urlpatterns,
    *outside_urls.urlpatterns,
    path("account", myself.profile, name="profile"),
    path("account/e-mail", address.ask, name="new_address"),
    path("account/e-mail/<str:key>", address.confirm, name="confirm_address"),
    path("account/sessions", myself.list_sessions, name="sessions"),
    path("account/sessions/<int:pk>/end", myself.end_session, name="end_session"),
    path("account/sessions/end-others", myself.end_other_sessions, name="end_other_sessions"),
    path("account/clouds/<int:pk>/remove", myself.leave_cloud, name="leave_cloud"),
    path("staff", staff.search, name="staff"),
    path("staff/accesses", staff.accesses, name="staff_accesses"),
    path("staff/people/<int:pk>/impersonate", staff.impersonate, name="impersonate"),
    path("staff/stop", staff.stop, name="stop_acting"),
    path("acting", staff.strip, name="acting"),
    path("account/staff-access", staff_access.accesses, name="staff_access"),
    path("account/staff-access/<int:pk>/end", staff_access.end, name="end_staff_access"),
]
