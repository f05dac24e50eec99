"""Small applications with known mistakes, and with innocent look-alikes beside them.

They are written apart from the rules: precision and recall are measured over them.
`catalogue.py` lists them, `truth.py` says what is wrong with each of their endpoints.
"""
