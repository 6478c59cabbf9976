"""What a training minimises: the velocity's loss, its masks, semantic guidance, the style constraint."""
