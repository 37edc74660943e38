"""The organization's Twilio account."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from crm.tenancy import TenantModel
from integrations import vault


class TwilioAccount(TenantModel):
    """One organization's credentials, caller ID and the few rules of its calls."""

    account_sid = models.CharField(_("account SID"), max_length=34)
    sealed_auth_token = models.TextField(editable=False)
    default_caller_id = models.CharField(
        _("caller ID"), max_length=16, help_text=_("E.164; a number of this Twilio account, or verified there.")
    )
    confirms_with_key = models.BooleanField(
        _("rep presses a key"),
        default=True,
        help_text=_(
            "The rep hears who is about to be called and presses a key, so that no voicemail reaches a contact."
        ),
    )
    records_calls = models.BooleanField(_("record calls"), default=True)
    ring_seconds = models.PositiveSmallIntegerField(
        _("ring time"), default=30, help_text=_("Seconds that each phone rings, 5 to 120.")
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta(TenantModel.Meta):
        verbose_name = _("Twilio account")
        verbose_name_plural = _("Twilio accounts")
        constraints = [
            models.UniqueConstraint(fields=["organization"], name="one_twilio_account_per_organization"),
            models.CheckConstraint(
                condition=models.Q(ring_seconds__gte=5, ring_seconds__lte=120), name="ring_time_is_5_to_120_seconds"
            ),
        ]

    def __str__(self) -> str:
        return self.account_sid

    def set_auth_token(self, token: str) -> None:
        """Seal `token` for this row; save() is the caller's."""
        self.sealed_auth_token = vault.seal(
            token, organization_id=self.organization_id, table="integrations_twilioaccount", column="auth_token"
        )

    def auth_token(self) -> str:
        """Return the token in clear, to sign or to ask with; never to show. Raises: vault.SealBroken."""
        return vault.unseal(
            self.sealed_auth_token,
            organization_id=self.organization_id,
            table="integrations_twilioaccount",
            column="auth_token",
        )
