"""A blog, its customers and its leads: one small API built from the blocks of `unslow.fast`."""
