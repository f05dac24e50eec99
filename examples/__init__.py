"""Small complete applications, made to be copied from."""
