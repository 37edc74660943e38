"""Contacts from a file: what is read, merged and refused, who may, and what survives when a worker dies."""
