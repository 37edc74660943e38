"""The errors that a person or a program is told about: one family, a stable code and a sentence each."""

from django.utils.translation import gettext_lazy as _


class AppError(Exception):
    """Something that the caller can understand: `code` is stable, `message` is a sentence for a person.

    `status` is the HTTP status that an API answers, `field` the input at fault if there is one, and
    `twilio_code` Twilio's own code when the refusal is Twilio's. `details` holds ids worth having, such as
    the call that is in the way.
    """

    code = "error"
    status = 400
    message: object = _("This could not be done.")

    def __init__(
        self,
        message: object | None = None,
        *,
        code: str | None = None,
        field: str | None = None,
        twilio_code: int | None = None,
        details: dict[str, str] | None = None,
    ) -> None:
        self.message = message or self.message
        self.code = code or self.code
        self.field = field
        self.twilio_code = twilio_code
        self.details = details or {}
        super().__init__(str(self.message))


class NotFound(AppError):
    """The row is missing or another organization's; which of the two is nobody's business."""

    code = "not_found"
    status = 404
    message = _("There is nothing here.")


class NotAllowed(AppError):
    """The row may be seen, but this role may not do that to it."""

    code = "permission_denied"
    status = 403
    message = _("Your role does not allow this.")


class InvalidNumber(AppError):
    """Not a telephone number that exists."""

    code = "invalid_number"
    status = 400
    message = _("This is not a valid phone number.")
