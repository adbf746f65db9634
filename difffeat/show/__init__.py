"""What a page shows: figures, tables, pictures."""
