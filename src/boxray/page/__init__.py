"""Pages of results: the frame, tables and plots that every report shares."""
