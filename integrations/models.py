"""The organization's Twilio account."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from crm import vault
from crm.numbers import for_display
from crm.tenancy import TenantModel

#: What is sealed: each has a column `sealed_…`.
SECRETS = ("auth_token", "next_auth_token", "api_key_secret")


class TwilioAccount(TenantModel):
    """One organization's credentials, caller ID and the few rules of its calls."""

    account_sid = models.CharField(_("account SID"), max_length=34)
    sealed_auth_token = models.TextField(editable=False)
    sealed_next_auth_token = models.TextField(
        editable=False,
        blank=True,
        default="",
        db_default="",
        help_text="The token that Twilio will sign with after its promotion.",
    )
    api_key_sid = models.CharField(_("API key SID"), max_length=34, blank=True, default="", db_default="")
    sealed_api_key_secret = models.TextField(editable=False, blank=True, default="", db_default="")
    region = models.CharField(
        _("region"),
        max_length=8,
        blank=True,
        default="",
        db_default="",
        help_text=_("Twilio's name of it, such as ie1; empty for the United States."),
    )
    edge = models.CharField(
        _("edge"),
        max_length=20,
        blank=True,
        default="",
        db_default="",
        help_text=_("Twilio's name of it, such as dublin."),
    )
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
    checks = models.JSONField(
        editable=False,
        default=list,
        db_default=models.Value([], models.JSONField()),
        help_text="What the last verification found.",
    )
    checked_at = models.DateTimeField(editable=False, null=True)
    signed_at = models.DateTimeField(
        editable=False, null=True, help_text="When this account's signature was first found valid."
    )
    next_signed_at = models.DateTimeField(
        editable=False, null=True, help_text="When Twilio first signed with the next token: it was promoted there."
    )
    last_callback_at = models.DateTimeField(editable=False, null=True)
    last_rejected_at = models.DateTimeField(editable=False, null=True)
    last_rejected_why = models.CharField(editable=False, max_length=200, blank=True, default="", db_default="")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta(TenantModel.Meta):
        verbose_name = _("Twilio account")
        verbose_name_plural = _("Twilio accounts")
        constraints = [
            models.UniqueConstraint(fields=["organization"], name="one_twilio_account_per_organization"),
            models.CheckConstraint(condition=~models.Q(sealed_auth_token=""), name="there_is_an_auth_token"),
            models.CheckConstraint(
                condition=models.Q(next_signed_at=None) | ~models.Q(sealed_next_auth_token=""),
                name="only_a_next_token_that_is_there_has_signed",
            ),
            models.CheckConstraint(
                condition=models.Q(ring_seconds__gte=5, ring_seconds__lte=120), name="ring_time_is_5_to_120_seconds"
            ),
        ]

    def __str__(self) -> str:
        return self.account_sid

    def seal(self, secret: str, value: str) -> None:
        """Seal `value` as this row's `secret`, one of SECRETS; empty forgets it. save() is the caller's."""
        sealed = vault.seal(value, **self._place(secret)) if value else ""
        setattr(self, f"sealed_{secret}", sealed)

    def secret(self, secret: str) -> str:
        """Return one of SECRETS in clear, empty where there is none; never to show. Raises: vault.SealBroken."""
        sealed: str = getattr(self, f"sealed_{secret}")
        return vault.unseal(sealed, **self._place(secret)) if sealed else ""

    def has(self, secret: str, value: str) -> bool:
        """Whether this is the secret that is stored; one that no key of ours opens is none."""
        try:
            return self.secret(secret) == value
        except vault.SealBroken:
            return False

    def _place(self, secret: str) -> dict[str, Any]:
        return {"owner": self.organization_id, "table": self._meta.db_table, "column": secret}


class Number(TenantModel):
    """A number that the organization's calls may come from, as its Twilio account lists it."""

    class Kind(models.TextChoices):
        INCOMING = "incoming", _("Twilio number")
        VERIFIED = "verified", _("Verified caller ID")

    number = models.CharField(_("number"), max_length=16, help_text="E.164")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    sid = models.CharField(max_length=34)
    name = models.CharField(_("name"), max_length=200, blank=True)
    has_voice = models.BooleanField(_("can call"))
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        verbose_name = _("number")
        verbose_name_plural = _("numbers")
        constraints = [models.UniqueConstraint(fields=["number"], name="a_number_is_one_organizations")]
        indexes = [models.Index(fields=["organization", "number"], name="numbers_of_an_organization")]

    def __str__(self) -> str:
        return for_display(self.number)
