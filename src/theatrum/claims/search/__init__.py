"""Claims of the methods of the search room."""
