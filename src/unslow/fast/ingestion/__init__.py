"""Events of many requests, committed together."""
