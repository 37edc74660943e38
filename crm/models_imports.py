"""The tables of contact imports: what was uploaded, how far it has come, and which contacts it was about."""

from django.db import models
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from crm.tenancy import MemberKey, TenantKey, TenantModel


class ImportStatus(models.TextChoices):
    """How far an import has come."""

    UPLOADED = "uploaded", _("Not started")
    RUNNING = "running", _("Running")
    DONE = "done", _("Done")
    CANCELED = "canceled", _("Canceled")
    FAILED = "failed", _("Stopped by an error")


class ImportRule(models.TextChoices):
    """What becomes of a row whose number or e-mail a contact has already. No rule takes a number away."""

    SKIP = "skip", _("Leave the contact as it is")
    FILL = "fill", _("Fill in what the contact lacks")
    OVERWRITE = "overwrite", _("Overwrite the contact with what the file says")


class ContactImport(TenantModel):
    """A file of contacts that somebody uploaded."""

    started_by = MemberKey(
        "crm.User", on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("started by")
    )
    file_name = models.CharField(_("file"), max_length=200)
    status = models.CharField(max_length=8, choices=ImportStatus.choices, default=ImportStatus.UPLOADED)
    headings = models.JSONField(help_text="Of the file's columns.")
    columns = models.JSONField(help_text="What each column is: values of crm.imports.headings.Column.")
    region = models.CharField(_("country"), max_length=2, help_text="Of numbers without a country code.")
    rule = models.CharField(_("duplicates"), max_length=9, choices=ImportRule.choices, default=ImportRule.FILL)
    total = models.PositiveIntegerField(help_text="Rows that are not empty, without the heading.")
    made = models.PositiveIntegerField(default=0)
    merged = models.PositiveIntegerField(default=0)
    unchanged = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    forgotten_at = models.DateTimeField(null=True, help_text="When the refused rows were deleted.")

    class Meta(TenantModel.Meta):
        verbose_name = _("import")
        verbose_name_plural = _("imports")
        constraints = [
            models.UniqueConstraint(fields=["organization", "id"], name="import_is_addressed_with_its_organization"),
        ]

    def __str__(self) -> str:
        return self.file_name

    @property
    def processed(self) -> int:
        """How many rows are done with."""
        return self.made + self.merged + self.unchanged + self.refused


class ImportPart(TenantModel):
    """Some rows of the file: one transaction's work. What was read is gone, what was refused is kept for a while."""

    contact_import = TenantKey(ContactImport, on_delete=models.CASCADE, related_name="parts", db_index=False)
    position = models.PositiveIntegerField()
    rows = models.JSONField(help_text="[[number of the row in the file, [cell, …]], …]; empty when they are done.")
    refused = models.JSONField(default=list, help_text="The same, each with its reasons: [[column or null, code], …].")
    done_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "contact_import", "position"], name="one_part_at_each_place_of_an_import"
            )
        ]

    def __str__(self) -> str:
        return f"{self.contact_import_id} {self.position}"


class ImportedContact(TenantModel):
    """That a contact was in an imported file, whether the import made it or found it."""

    contact_import = TenantKey(ContactImport, on_delete=models.CASCADE, related_name="+", db_index=False)
    contact = TenantKey("crm.Contact", on_delete=models.CASCADE, related_name="+")

    class Meta(TenantModel.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "contact_import", "contact"], name="a_contact_is_once_in_an_import"
            )
        ]

    def __str__(self) -> str:
        return f"{self.contact_import_id} {self.contact_id}"


class DueImport(models.Model):
    """An import that somebody must look at, and when: to go on with it, or to forget what it holds.

    The workers' list, without a policy: it tells that an import exists, and nothing of it.
    """

    import_id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization_id = models.UUIDField()
    due_at = models.DateTimeField()
    failures = models.PositiveSmallIntegerField(default=0)
    last_error = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name = _("due import")
        verbose_name_plural = _("due imports")
        indexes = [
            models.Index(fields=["due_at"], name="imports_by_due"),
            models.Index(fields=["organization_id", "import_id"], name="due_imports_of_one"),
        ]

    def __str__(self) -> str:
        return str(self.import_id)
