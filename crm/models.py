"""The CRM core's tables: organizations, users, memberships, contacts, opportunities, API tokens."""

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from crm.models_imports import ContactImport as ContactImport
from crm.models_imports import DueImport as DueImport
from crm.models_imports import ImportedContact as ImportedContact
from crm.models_imports import ImportPart as ImportPart
from crm.models_imports import ImportRule as ImportRule
from crm.models_imports import ImportStatus as ImportStatus
from crm.numbers import for_display
from crm.tenancy import MemberKey, MembershipManager, TenantKey, TenantModel


class Organization(models.Model):
    """A tenant. A directory row: it has no policy, because sign-in and callbacks start from it."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(_("name"), max_length=200)
    slug = models.SlugField(_("short name"), unique=True)
    region = models.CharField(
        _("country"),
        max_length=2,
        default="BR",
        help_text=_("Two letters; how numbers without a country code are read."),
    )
    is_active = models.BooleanField(_("active"), default=True)
    requires_mfa = models.BooleanField(
        _("requires a second factor"),
        default=False,
        db_default=False,
        help_text=_("Members who log in with a password alone get in only after they have set one up."),
    )
    next_check_at = models.DateTimeField(
        editable=False, null=True, db_index=True, help_text="When its connections to the outside are looked at again."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("organization")
        verbose_name_plural = _("organizations")

    def __str__(self) -> str:
        return self.name


def lowered(email: str) -> str:
    """Return an e-mail address as rows hold it: one person's, however it is typed, is one string."""
    return BaseUserManager.normalize_email(email).lower()


class UserManager(BaseUserManager["User"]):
    """Makes users who sign in by e-mail."""

    def get_by_natural_key(self, username: str | None) -> "User":
        """Look an address up whatever its case, as people type it; rows hold it in small letters."""
        return self.get(email=lowered(username or ""))

    def create_user(self, email: str, password: str | None = None, **fields: object) -> "User":
        """Create a user; without a password they cannot sign in yet."""
        user = self.model(email=lowered(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: object) -> "User":
        """Create an operator, whose address needs no e-mail to be believed: they have a shell here."""
        from crm.accounts import vouch_for_email  # which needs this module

        user = self.create_user(email, password, is_staff=True, is_superuser=True, **fields)
        vouch_for_email(user)
        return user


class User(AbstractBaseUser, PermissionsMixin):
    """A person. A directory row without a policy; what they may see hangs on their memberships."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    email = models.EmailField(_("e-mail"), unique=True)
    name = models.CharField(_("name"), max_length=200, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    is_staff = models.BooleanField(_("operator"), default=False, help_text=_("May use the operator's admin."))
    date_joined = models.DateTimeField(auto_now_add=True)

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = []

    class Meta:
        verbose_name = _("user")
        verbose_name_plural = _("users")
        constraints = [models.UniqueConstraint(Lower("email"), name="one_user_per_email_whatever_its_case")]

    def __str__(self) -> str:
        return self.name or self.email

    def clean(self) -> None:
        """Lower the address before a form compares it with the others."""
        super().clean()
        self.email = lowered(self.email)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Keep the address in small letters, whoever saves it."""
        self.email = lowered(self.email)
        super().save(*args, **kwargs)

    def get_full_name(self) -> str:
        """The name to show."""
        return str(self)


class Role(models.TextChoices):
    """What a member may do; later ones may do all that earlier ones may."""

    REP = "rep", _("Rep")
    MANAGER = "manager", _("Manager")
    ADMIN = "admin", _("Admin")


class Membership(TenantModel):
    """A user in an organization, with a role and the phone that Twilio rings first."""

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", verbose_name=_("user"))
    role = models.CharField(_("role"), max_length=10, choices=Role.choices, default=Role.REP)
    phone_number = models.CharField(
        _("phone"), max_length=16, blank=True, help_text=_("E.164, such as +5511987654321. Rung first on every call.")
    )
    caller_id = models.CharField(
        _("caller ID"),
        max_length=16,
        blank=True,
        default="",
        db_default="",
        help_text=_("E.164; what this member's contacts see. Empty for the organization's."),
    )
    phone_checked_at = models.DateTimeField(
        null=True, help_text="When its owner last answered a test call on this phone; empty for another number."
    )
    sessions_ended_at = models.DateTimeField(
        null=True, help_text="Sessions that are older open this membership no more, even if it is active again."
    )
    is_active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[MembershipManager] = MembershipManager()

    class Meta(TenantModel.Meta):
        verbose_name = _("member")
        verbose_name_plural = _("members")
        constraints = [
            models.UniqueConstraint(fields=["organization", "user"], name="one_membership_per_user_and_organization"),
            models.UniqueConstraint(
                fields=["organization", "id"], name="membership_is_addressed_with_its_organization"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.get_role_display()})"

    def is_at_least(self, role: str) -> bool:
        """Whether this member may do what `role` may."""
        ranks = Role.values
        return ranks.index(self.role) >= ranks.index(role)

    @property
    def sees_whole_team(self) -> bool:
        """Managers and admins see everybody's calls; a rep sees their own."""
        return self.is_at_least(Role.MANAGER)


class Invitation(TenantModel):
    """An e-mail to somebody who may join; whoever follows its link has read it. Only the link's digest is kept."""

    email = models.EmailField(_("e-mail"))
    role = models.CharField(_("role"), max_length=10, choices=Role.choices, default=Role.REP)
    invited_by = MemberKey(User, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("invited by"))
    digest = models.CharField(max_length=64, unique=True)
    language = models.CharField(max_length=10, default="en", help_text="Of the e-mail, when it is sent again.")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, help_text="Empty: the mail server has not taken it.")
    accepted_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "email"],
                condition=models.Q(accepted_at=None, withdrawn_at=None),
                name="one_open_invitation_per_email",
            )
        ]

    def __str__(self) -> str:
        return self.email


class Contact(TenantModel):
    """Somebody the organization calls."""

    name = models.CharField(_("name"), max_length=200)
    company = models.CharField(_("company"), max_length=200, blank=True)
    email = models.EmailField(_("e-mail"), blank=True)
    owner = MemberKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("owner"))
    do_not_call_since = models.DateTimeField(_("do not call since"), null=True, blank=True)
    time_zone = models.CharField(
        _("time zone"),
        max_length=40,
        blank=True,
        default="",
        db_default="",
        help_text=_("IANA's name; empty: the number's own."),
    )
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta(TenantModel.Meta):
        verbose_name = _("contact")
        verbose_name_plural = _("contacts")
        constraints = [
            models.UniqueConstraint(fields=["organization", "id"], name="contact_is_addressed_with_its_organization"),
        ]
        indexes = [
            models.Index(fields=["organization", "name", "id"], name="contacts_by_name"),
            models.Index(fields=["organization", "email"], name="contacts_by_email"),
            GinIndex(
                fields=["organization", "name", "company"],
                opclasses=["uuid_ops", "gin_trgm_ops", "gin_trgm_ops"],
                name="contacts_by_part_of_a_name",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ContactNumber(TenantModel):
    """One of a contact's telephone numbers, E.164."""

    contact = TenantKey(Contact, on_delete=models.CASCADE, related_name="numbers")
    number = models.CharField(_("number"), max_length=16)
    label = models.CharField(_("label"), max_length=40, blank=True)
    position = models.PositiveSmallIntegerField(default=0, help_text=_("The lowest is called by default."))

    class Meta(TenantModel.Meta):
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(fields=["contact", "number"], name="a_contact_has_a_number_once"),
        ]
        indexes = [
            models.Index(fields=["organization", "number"], name="contacts_by_number"),
            GinIndex(
                fields=["organization", "number"],
                opclasses=["uuid_ops", "gin_trgm_ops"],
                name="contacts_by_part_of_a_number",
            ),
        ]

    def __str__(self) -> str:
        return for_display(self.number)


class DoNotCall(TenantModel):
    """A number that nobody of the organization may call, whoever it belongs to."""

    number = models.CharField(_("number"), max_length=16, help_text="E.164")
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    added_by = MemberKey(User, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("added by"))
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        verbose_name = _("number not to call")
        verbose_name_plural = _("numbers not to call")
        constraints = [models.UniqueConstraint(fields=["organization", "number"], name="a_number_is_listed_once")]

    def __str__(self) -> str:
        return for_display(self.number)


class Opportunity(TenantModel):
    """A deal that calls are made for."""

    contact = TenantKey(Contact, on_delete=models.CASCADE, related_name="opportunities")
    owner = MemberKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    title = models.CharField(_("title"), max_length=200)
    stage = models.CharField(_("stage"), max_length=60, blank=True)
    amount = models.DecimalField(_("amount"), max_digits=14, decimal_places=2, null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta(TenantModel.Meta):
        verbose_name = _("opportunity")
        verbose_name_plural = _("opportunities")
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "id"], name="opportunity_is_addressed_with_its_organization"
            ),
        ]

    def __str__(self) -> str:
        return self.title


class StageChange(TenantModel):
    """That an opportunity went from one stage to another, and who said so; written down from migration 0010 on."""

    opportunity = TenantKey(Opportunity, on_delete=models.CASCADE, related_name="stage_changes")
    by = MemberKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    before = models.CharField(max_length=60, blank=True)
    after = models.CharField(max_length=60, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        indexes = [models.Index(fields=["organization", "opportunity", "-id"], name="stages_of_an_opportunity")]

    def __str__(self) -> str:
        return f"{self.before} → {self.after}"


class Note(TenantModel):
    """Something worth knowing about a contact or an opportunity, written without a call."""

    contact = TenantKey(Contact, on_delete=models.CASCADE, related_name="+")
    opportunity = TenantKey(Opportunity, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    author = MemberKey(User, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("author"))
    text = models.TextField(_("note"))
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta(TenantModel.Meta):
        verbose_name = _("note")
        verbose_name_plural = _("notes")
        indexes = [models.Index(fields=["organization", "contact", "-id"], name="notes_of_a_contact")]

    def __str__(self) -> str:
        return self.text[:60]


class FollowUp(TenantModel):
    """That its owner wants to turn to a contact again, and when."""

    contact = TenantKey(Contact, on_delete=models.CASCADE, related_name="+")
    opportunity = TenantKey(Opportunity, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    owner = MemberKey(User, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("owner"))
    due_at = models.DateTimeField(_("due"))
    text = models.CharField(_("what to do"), max_length=500, blank=True)
    done_at = models.DateTimeField(null=True)
    call_id = models.UUIDField(null=True, help_text="After which call it was written down; one each at most.")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta(TenantModel.Meta):
        verbose_name = _("follow-up")
        verbose_name_plural = _("follow-ups")
        constraints = [models.UniqueConstraint(fields=["organization", "call_id"], name="one_follow_up_per_call")]
        indexes = [
            models.Index(
                fields=["organization", "owner", "due_at", "id"],
                condition=models.Q(done_at=None),
                name="follow_ups_by_due",
            ),
            models.Index(fields=["organization", "contact", "-id"], name="follow_ups_of_a_contact"),
        ]

    def __str__(self) -> str:
        return self.text or str(self.due_at)


class ApiToken(TenantModel):
    """A machine's key to one membership; only its digest is kept."""

    membership = TenantKey(Membership, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=100, blank=True)
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        verbose_name = _("API token")

    def __str__(self) -> str:
        return self.name or str(self.id)


class AuditEntry(TenantModel):
    """Who did what. The application's database role adds entries and changes none; it deletes what is a month old."""

    at = models.DateTimeField(auto_now_add=True)
    user_id = models.UUIDField(null=True, help_text="No reference: who is gone has done it all the same.")
    who = models.CharField(max_length=254, help_text="The e-mail at that time; empty for the system.")
    action = models.CharField(max_length=40)
    details = models.JSONField(default=dict)

    is_append_only = True

    class Meta(TenantModel.Meta):
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")
        indexes = [
            models.Index(fields=["organization", "-id"], name="audit_newest_first"),
            models.Index(fields=["organization", "action", "-id"], name="audit_by_action"),
        ]

    def __str__(self) -> str:
        return self.action


class SavedView(TenantModel):
    """A member's own name for what a page's list is narrowed to."""

    class Page(models.TextChoices):
        """The pages that have views, by the names of their addresses."""

        CALLS = "calls", _("Calls")
        CONTACTS = "contacts", _("Contacts")

    user = MemberKey(User, on_delete=models.CASCADE, related_name="+")
    page = models.CharField(max_length=10, choices=Page.choices)
    name = models.CharField(_("name"), max_length=60)
    query = models.CharField(max_length=1000, help_text="Of the page's address, normalised.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        verbose_name = _("saved view")
        verbose_name_plural = _("saved views")
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "user", "page", "name"], name="a_member_has_a_view_of_a_name_once"
            )
        ]

    def __str__(self) -> str:
        return self.name
