"""A Twilio that runs on the developer's machine: REST, TwiML, signed callbacks, recordings and phones to play with."""
