"""What holds a picture's structure: edges, soft lines, a sketch, depth, and the regions that it is made of."""
