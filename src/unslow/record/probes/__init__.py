"""One library per file; what each records stands in `record/catalogue.py`."""
