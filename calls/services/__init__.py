"""Writes that somebody asked for: start a call, hang up."""
