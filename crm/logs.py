"""What log lines leave out: links that open something for whoever holds them."""

import logging
import re

LINKS = re.compile(r"(/invitations/|/account/password/reset/|/account/email/verify/)[^/\s\"']{8,}")


class HideLinks(logging.Filter):
    """Cut the secret out of such a link, whoever logs it: Django names the path of every refused request."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every line through, without it."""
        said = record.getMessage()
        hidden = LINKS.sub(r"\1…", said)
        if hidden != said:
            record.msg, record.args = hidden, ()
        return True
