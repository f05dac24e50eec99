"""What can be changed at run time and undone, and how it is written down."""
