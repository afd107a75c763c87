"""The reference pages of the documentation, read off the code that they describe.

`python -m docs.generate` writes them, `make docs` does so before it builds the site, and a test fails where a page
says something else than the code.
"""
