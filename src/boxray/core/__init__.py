"""Words and arithmetic. Standard library and numpy only."""
