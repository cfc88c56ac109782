"""How a frozen run directory gets executed: here, or one after the other in a sweep."""
