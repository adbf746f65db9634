"""What papers print, each in a folder of its own: its tables and its claims."""
