"""Twilio's error codes as causes that a person can act on (twilio.com/docs/api/errors)."""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from crm.errors import AppError


@dataclass(frozen=True, slots=True)
class Cause:
    """What a Twilio code means to us: a stable code of ours and a sentence with the fix."""

    code: str
    sentence: Any


CREDENTIALS = Cause(
    "twilio_credentials_rejected",
    _("Twilio did not accept your organization's credentials. Ask an admin to check the account SID and auth token."),
)
NUMBER = Cause("invalid_number", _("Twilio says that this is not a valid phone number. Correct it and try again."))
NOT_CALLABLE = Cause("number_not_callable", _("Twilio does not connect calls to this number."))
COUNTRY = Cause(
    "country_not_enabled",
    _("This Twilio account may not call that country. An admin can enable it in Twilio's geographic permissions."),
)
CALLER_ID = Cause(
    "caller_id_rejected",
    _("Twilio does not accept the caller ID. An admin must choose a number of this Twilio account, or verify it."),
)
TRIAL = Cause("trial_account", _("This is a Twilio trial account: it can only call numbers that were verified there."))
OURS = Cause("twilio_request_rejected", _("Twilio refused the request. This is our mistake, not yours."))
GONE = Cause("twilio_not_found", _("Twilio no longer knows this call or recording."))
BUSY = Cause("twilio_busy", _("Twilio has too many requests right now. Try again in a moment."))
ACCOUNT = Cause(
    "twilio_account_inactive", _("This Twilio account is not active. An admin must settle that with Twilio first.")
)
CONCURRENCY = Cause("too_many_calls", _("Your Twilio account has too many calls under way. Wait for one to end."))
INSTRUCTIONS = Cause("instructions_unreachable", _("Twilio could not reach this server for the call's instructions."))

CAUSES = {
    **dict.fromkeys((20003, 20008, 70051), CREDENTIALS),
    **dict.fromkeys((21201, 21211, 21217, 13223), NUMBER),
    **dict.fromkeys((21202, 21214, 21216, 13224, 13225), NOT_CALLABLE),
    **dict.fromkeys((21203, 21215, 13227), COUNTRY),
    **dict.fromkeys((21210, 21212, 21213, 13214, 13247), CALLER_ID),
    **dict.fromkeys((21219, 573002, 573005), TRIAL),
    **dict.fromkeys((21205, 21206, 21208, 21209, 21218), OURS),
    **dict.fromkeys((20404,), GONE),
    **dict.fromkeys((20429, 22005), BUSY),
    **dict.fromkeys((20005, 10001), ACCOUNT),
    **dict.fromkeys((10004,), CONCURRENCY),
    **dict.fromkeys((11200, 11205, 11210, 11215, 12100), INSTRUCTIONS),
}
OTHER = Cause("twilio_rejected", _("Twilio refused this call."))

# With these no call of the organization's works until an admin has done something.
BREAKS_CALLS = frozenset({CREDENTIALS.code, ACCOUNT.code})
# Whoever wanted to end the call has what they wanted.
CALL_ALREADY_OVER = 21220
# Twilio has no such call (any more).
UNKNOWN_CALL = 20404


def cause_of(twilio_code: int | None) -> Cause:
    """Return what `twilio_code` means; an unknown one is still a refusal."""
    return CAUSES.get(twilio_code or 0, OTHER)


class TwilioRejected(AppError):
    """Twilio answered, and said no: nothing was done there."""

    status = 422

    def __init__(
        self,
        twilio_code: int | None,
        http_status: int | None,
        *,
        cause: Cause | None = None,
        retry_after_seconds: int | None = None,
    ) -> None:
        cause = cause or cause_of(twilio_code)
        super().__init__(cause.sentence, code=cause.code, twilio_code=twilio_code)
        self.http_status = http_status
        self.retry_after_seconds = retry_after_seconds
        if cause is BUSY:
            self.status = 503


class TwilioNotAsked(TwilioRejected):
    """The request could not even be written, as with an auth token that no header carries: nothing was sent."""

    def __init__(self, cause: Cause) -> None:
        super().__init__(None, None, cause=cause)


class TwilioUnreachable(AppError):
    """No connection to Twilio could be made, so nothing can have been done there."""

    code = "twilio_unreachable"
    status = 503
    message = _("Twilio cannot be reached right now. No call was made; try again in a moment.")


class TwilioUnconfirmed(AppError):
    """The request may or may not have been carried out: Twilio's answer did not come, or said nothing that counts."""

    code = "twilio_unconfirmed"
    status = 503
    message = _("Twilio did not answer in time. We are checking what happened.")


class TwilioNotConnected(AppError):
    """The organization has not connected a Twilio account."""

    code = "twilio_not_connected"
    status = 409
    message = _("Your organization has not connected Twilio yet. Ask an admin to do it.")


def sentence_of(code: str) -> object:
    """Return the sentence of one of our stable codes for what Twilio answers, or does not."""
    known = {cause.code: cause.sentence for cause in CAUSES.values()}
    known |= {one.code: one.message for one in (TwilioUnreachable, TwilioUnconfirmed, TwilioNotConnected)}
    return known.get(code, OTHER.sentence)
