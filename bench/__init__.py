"""The benchmark: what the machine takes in, beside what its PostgreSQL could take in. `python -m bench --help`."""
