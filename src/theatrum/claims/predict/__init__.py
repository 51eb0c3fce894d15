"""Claims of the methods of the predict room."""
