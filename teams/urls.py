"""Signing in and out."""

from django.urls import path

from teams import views

app_name = "teams"

urlpatterns = [
    path("sign-in", views.sign_in, name="sign_in"),
    path("sign-out", views.sign_out, name="sign_out"),
]
