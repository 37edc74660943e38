"""Everything that runs the whole project on one machine, for `make demo` and the tests; no part of a deployment."""
