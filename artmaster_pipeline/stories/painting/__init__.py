"""A story painted in one hand: same gates and words in every shot, the best of several pictures, and a second look."""
