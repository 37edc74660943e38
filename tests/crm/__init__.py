"""Tests of the crm app."""
