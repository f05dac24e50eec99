"""The pool of an app, its sums, and how it is."""
