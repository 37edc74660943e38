"""What a person does, in a real browser against everything that `make demo` runs."""
