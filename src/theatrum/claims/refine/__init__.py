"""Claims of the methods of the refine room."""
