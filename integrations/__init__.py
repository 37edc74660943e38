"""The outside world: Twilio, and a Twilio that runs on the developer's machine."""
