"""Why a call does not start, or something cannot be done with it."""

from django.utils.translation import gettext_lazy as _

from crm.errors import AppError, NotFound


class CallNotAllowed(AppError):
    """A rule before the dial says no."""

    code = "call_not_allowed"
    status = 422
    message = _("This call is not allowed.")


class NoLongerMember(CallNotAllowed):
    """Deactivated while the request was under way."""

    code = "no_longer_member"
    status = 403
    message = _("You are no longer an active member of this organization.")


class NoPhone(CallNotAllowed):
    """There is no phone to ring first."""

    code = "no_phone"
    message = _("There is no phone on your profile, so Twilio cannot ring you. Enter it in your profile.")


class CallerIdNotOwned(CallNotAllowed):
    """The caller ID is not one of the organization's."""

    code = "caller_id_not_owned"
    message = _("This caller ID does not belong to your organization.")


class NotTheContactsNumber(CallNotAllowed):
    """With a contact, only its own numbers can be called."""

    code = "not_the_contacts_number"
    message = _("This number is not one of the contact's numbers.")


class NobodyToCall(CallNotAllowed):
    """Neither a contact nor a number was given."""

    code = "required"
    status = 400
    message = _("Say whom to call: a contact, a number, or both.")


class ContactHasNoNumber(CallNotAllowed):
    """There is nothing to dial."""

    code = "contact_has_no_number"
    message = _("This contact has no phone number yet.")


class DoNotCall(CallNotAllowed):
    """The contact, or the number, is not to be called."""

    code = "do_not_call"
    message = _("Do not call: this contact or number is on your organization's do-not-call list.")


class CountryNotAllowed(CallNotAllowed):
    """The organization does not call that country."""

    code = "country_not_allowed"
    message = _("Your organization does not call this country. An admin can allow it in the rules of calling.")


class CostlyNumber(CallNotAllowed):
    """Premium, shared-cost, personal or satellite."""

    code = "costly_number"
    message = _("This is a premium, shared-cost or satellite number, which your organization does not call.")


class PhoneCountryNotAllowed(CallNotAllowed):
    """The rep's phone is where the organization does not call: each call rings it first, on the organization's bill."""

    code = "phone_country_not_allowed"
    message = _(
        "Your own phone is in a country that your organization does not call. "
        "Use another phone, or ask an admin to allow the country in the rules of calling."
    )


class CostlyPhone(CallNotAllowed):
    """The rep's phone is premium, shared-cost, personal or satellite."""

    code = "costly_phone"
    message = _(
        "Your own phone is a premium, shared-cost or satellite number, which your organization does not call. "
        "Use another phone."
    )


class PhoneDoNotCall(CallNotAllowed):
    """Whoever must not be called is not rung as a rep's own phone either."""

    code = "phone_do_not_call"
    message = _(
        "The phone on your profile is on your organization's do-not-call list, or a contact's who is not to be called. "
        "Use another phone."
    )


class OwnPhone(CallNotAllowed):
    """Nobody can be bridged to themselves."""

    code = "own_phone"
    message = _("This is your own phone, which every call rings first. Say whom else to call.")


class OutsideCallingHours(CallNotAllowed):
    """It is too early, too late, or the wrong day at the contact."""

    code = "outside_calling_hours"
    message = _("It is outside of calling hours at the contact.")


class OutcomeOwed(CallNotAllowed):
    """The organization insists on outcomes, and the last call has none."""

    code = "outcome_owed"
    message = _("Write down how your last call went before you start another: your organization asks for an outcome.")


class RecordingIsFixed(CallNotAllowed):
    """The organization decides, not the rep."""

    code = "recording_is_fixed"
    message = _("Whether calls are recorded is decided by your organization.")


class LimitReached(CallNotAllowed):
    """A fence around the money."""

    code = "limit_reached"
    status = 429
    message = _("Your organization's limit of calls is reached.")


class SpendLimitReached(LimitReached):
    """What is left of the day's money does not cover another call."""

    message = _(
        "Your organization's spending limit for today is reached: what is left does not cover another call. "
        "It starts anew at 00:00 UTC. An admin can raise it in the rules of calling."
    )


class UncheckedPhoneLimitReached(LimitReached):
    """Nobody has shown that the phone on the profile is the rep's: it is rung no more often than a contact's."""

    message = _(
        "Your own phone was rung too often today for one that was never checked. "
        "Check it by a test call in your profile; then you can go on."
    )


class RunIsOver(AppError):
    """Nothing is left to call, or somebody ended it."""

    code = "run_is_over"
    status = 409
    message = _("These calls are over. Choose contacts and start anew.")


class NobodyInTheList(AppError):
    """A run needs somebody to call."""

    code = "nobody_in_the_list"
    status = 422
    message = _("There is nobody in this list to call.")


class ManyNotCallable(AppError):
    """A press that would go on refusing for minutes."""

    code = "many_not_callable"
    status = 422
    message = _("Many contacts in a row could not be called; the list says why. Press again to go on.")


class CallInProgress(AppError):
    """One live call per member."""

    code = "call_in_progress"
    status = 409
    message = _("You are on another call. End it before you start a new one.")


class IdempotencyKeyReused(AppError):
    """The key was used for another request."""

    code = "idempotency_key_reused"
    status = 409
    message = _("This Idempotency-Key was used for a different call.")


class BadIdempotencyKey(AppError):
    """A key is 1 to 200 printable characters."""

    code = "bad_idempotency_key"
    status = 400
    message = _("An Idempotency-Key is 1 to 200 printable characters.")


class CallIsLive(AppError):
    """How a call went is known once it is over."""

    code = "call_is_live"
    status = 409
    message = _("The call is not over yet. Write a note now, and choose the outcome when it is.")


class CallIsOver(AppError):
    """Nothing is left to hang up."""

    code = "call_is_over"
    status = 409
    message = _("This call is over already.")


def sentence_of(code: str) -> object:
    """Return the sentence of a refusal's code; of an unknown one, that the call was not allowed."""
    return _SENTENCES.get(code, CallNotAllowed.message)


_SENTENCES: dict[str, object] = {
    one.code: one.message
    for one in (
        *(DoNotCall, CountryNotAllowed, CostlyNumber, OutsideCallingHours, ContactHasNoNumber, OwnPhone, NotFound),
        LimitReached,
    )
}
