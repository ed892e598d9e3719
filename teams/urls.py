"""Signing in and out."""

from django.urls import path

from teams.views import sign_in

app_name = "teams"

urlpatterns = [
    path("sign-in", sign_in.sign_in, name="sign_in"),
    path("sign-out", sign_in.sign_out, name="sign_out"),
]
