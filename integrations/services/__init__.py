"""Writes to the organization's Twilio account. Nothing here asks Twilio: that is `checks`, and before or after."""
