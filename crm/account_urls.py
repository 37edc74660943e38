"""The addresses of log-in, passwords, e-mail and second factors: allauth's views, the ones that people here need."""

from typing import Any

from allauth.account import views
from allauth.mfa.base import views as second_factor
from allauth.mfa.recovery_codes import views as recovery_codes
from allauth.mfa.totp import views as totp
from django.urls import path, re_path
from django.views.decorators.http import require_http_methods


def form(view: Any) -> Any:
    """Let a page's form be looked at and sent, and nothing else be done with it."""
    return require_http_methods(["GET", "HEAD", "POST"])(view)


urlpatterns = [
    path("login/", form(views.login), name="account_login"),
    path("logout/", form(views.logout), name="account_logout"),
    path("signup/", form(views.signup), name="account_signup"),
    path("account/inactive/", form(views.account_inactive), name="account_inactive"),
    path("account/confirm/", form(views.reauthenticate), name="account_reauthenticate"),
    path("account/email/", form(views.email), name="account_email"),
    path("account/email/sent/", form(views.email_verification_sent), name="account_email_verification_sent"),
    path("account/email/verify/<str:key>/", form(views.confirm_email), name="account_confirm_email"),
    path("account/password/", form(views.password_change), name="account_change_password"),
    path("account/password/set/", form(views.password_set), name="account_set_password"),
    path("account/password/reset/", form(views.password_reset), name="account_reset_password"),
    path("account/password/reset/sent/", form(views.password_reset_done), name="account_reset_password_done"),
    path(
        "account/password/reset/done/",
        form(views.password_reset_from_key_done),
        name="account_reset_password_from_key_done",
    ),
    re_path(
        r"^account/password/reset/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        form(views.password_reset_from_key),
        name="account_reset_password_from_key",
    ),
    path("account/second-factor/", form(second_factor.index), name="mfa_index"),
    path("account/second-factor/code/", form(second_factor.authenticate), name="mfa_authenticate"),
    path("account/second-factor/confirm/", form(second_factor.reauthenticate), name="mfa_reauthenticate"),
    path("account/second-factor/app/", form(totp.activate_totp), name="mfa_activate_totp"),
    path("account/second-factor/app/remove/", form(totp.deactivate_totp), name="mfa_deactivate_totp"),
    path(
        "account/second-factor/recovery-codes/",
        form(recovery_codes.view_recovery_codes),
        name="mfa_view_recovery_codes",
    ),
    path(
        "account/second-factor/recovery-codes/new/",
        form(recovery_codes.generate_recovery_codes),
        name="mfa_generate_recovery_codes",
    ),
    path(
        "account/second-factor/recovery-codes/download/",
        form(recovery_codes.download_recovery_codes),
        name="mfa_download_recovery_codes",
    ),
]
