"""The pages that allauth looks for by its own names: those of its views that we serve."""

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from teams.views import doors, myself, passkey, sign_in


class Base36(StringConverter):
    regex = "[0-9A-Za-z]+"


register_converter(Base36, "base36")

urlpatterns = [
    path("sign-in", sign_in.sign_in, name="account_login"),
    path("sign-out", sign_in.sign_out, name="account_logout"),
    # Before signing in
    path("account/sign-up", doors.sign_up, name="account_signup"),
    path("account/inactive", doors.inactive, name="account_inactive"),
    path("account/confirm", doors.confirmation_sent, name="account_email_verification_sent"),
    path("account/confirm/<str:key>", doors.confirm_address, name="account_confirm_email"),
    path("account/reset", doors.reset_password, name="account_reset_password"),
    path("account/reset/sent", doors.reset_sent, name="account_reset_password_done"),
    path("account/reset/done", doors.password_is_new, name="account_reset_password_from_key_done"),
    path(
        "account/reset/<base36:uidb36>-<str:key>",
        doors.new_password,
        name="account_reset_password_from_key",
    ),
    path("account/second-factor", doors.second_factor, name="mfa_authenticate"),
    path("account/passkey", passkey.sign_in, name="mfa_login_webauthn"),
    path("account/with/<str:provider_id>", doors.to_provider, name="openid_connect_login"),
    path(
        "account/with/<str:provider_id>/back", doors.from_provider, name="openid_connect_callback"
    ),
    # About oneself
    path("account/password", myself.change_password, name="account_change_password"),
    path("account/password/set", myself.set_password, name="account_set_password"),
    path("account/again", myself.again, name="account_reauthenticate"),
    path("account/again/code", myself.again_by_code, name="mfa_reauthenticate"),
    path("account/again/passkey", myself.again_by_key, name="mfa_reauthenticate_webauthn"),
    path("account/factors", myself.factors, name="mfa_index"),
    path("account/factors/app", myself.add_codes, name="mfa_activate_totp"),
    path("account/factors/app/remove", myself.remove_codes, name="mfa_deactivate_totp"),
    path("account/factors/recovery", myself.see_recovery, name="mfa_view_recovery_codes"),
    path("account/factors/recovery/new", myself.new_recovery, name="mfa_generate_recovery_codes"),
    path("account/factors/passkey", myself.add_key, name="mfa_add_webauthn"),
    path("account/factors/passkey/<int:pk>/remove", myself.remove_key, name="mfa_remove_webauthn"),
]
