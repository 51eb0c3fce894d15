"""Claims of the methods of the evaluate room."""
