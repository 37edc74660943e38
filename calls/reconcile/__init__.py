"""From facts to rows: apply the journal, ask Twilio for what is missing, fetch media, sweep."""
