"""Everything that knows Twilio: the only folder that imports its package, and where its words stop."""
