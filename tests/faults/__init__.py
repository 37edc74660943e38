"""What happens when processes die and lines break, at points that are named on the wire."""
