"""Tests of the simulated Twilio, driven with Twilio's own client over a socket."""
