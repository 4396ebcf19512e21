"""What the procedures can look at and change: one file is one thing."""
