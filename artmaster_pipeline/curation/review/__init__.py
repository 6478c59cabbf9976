"""What a person should look at, and what persons decided: that is kept beside the scans and goes before all else."""
