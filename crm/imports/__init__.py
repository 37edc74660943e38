"""Contacts from a file: recognise its columns, read its rows, merge them with what is there, some rows at a time."""
