"""Everything about a call: start, TwiML, callbacks, reconcile, history, recordings."""
