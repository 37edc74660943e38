"""What keeps all of an organization's calls from working, from what is known already: Twilio is not asked here."""

from dataclasses import dataclass

from django.utils.translation import gettext as _

from integrations import checks
from integrations.models import TwilioAccount
from integrations.services.findings import check_of
from integrations.twilio.errors import ACCOUNT, CREDENTIALS

# With these findings no call works, whichever secret is used; and their sentences.
NO_CALLS = {code: code for code in ("account_inactive", "numbers_none")} | {ACCOUNT.code: "account_inactive"}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Cause and fix in the reader's language, for an admin; Twilio's own code where it said one."""

    sentence: str
    twilio_code: int | None = None
    is_connected: bool = True


def trouble_of(account: TwilioAccount | None) -> Trouble | None:
    """Return why no call works: the secret that is used, or the account, is refused; None where calls can work.

    As the last verification found, or a refused call since. What could not be found out is no trouble, nor is what
    only some calls fail on, such as a caller ID that is gone: the set-up page shows that.
    """
    if account is None:
        return Trouble(
            _("Twilio is not connected yet. It takes an account SID, its auth token and a number."), None, False
        )
    for one in account.checks:
        if one["result"] == checks.FAILED and one["code"] == CREDENTIALS.code and one["check"] == check_of(account):
            sentence = _("Twilio does not accept the stored credentials. Enter those that Twilio's console shows.")
            return Trouble(sentence, one["twilio_code"])
        if one["result"] == checks.FAILED and one["code"] in NO_CALLS:
            return Trouble(str(checks.SENTENCES[NO_CALLS[one["code"]]]), one["twilio_code"])
    return None
