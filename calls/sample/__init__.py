"""A past to look at: contacts, opportunities and 90 days of calls for an organization of the sample."""
