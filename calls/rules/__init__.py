"""What the facts of a call mean: pure functions, no Django, no I/O."""
