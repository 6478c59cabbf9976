"""What a person should look at, and what persons decided."""
