"""The only code that may say "faster": it sends requests, tries fixes and compares."""
