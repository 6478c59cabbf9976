"""Stories across time: a wish becomes a storyboard, its shots pictures in one hand, and both together a book."""
