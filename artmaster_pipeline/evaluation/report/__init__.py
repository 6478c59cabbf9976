"""What a person sees of an evaluation: the grid as one picture, the report as one page."""
