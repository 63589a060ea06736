"""Blocks of the networks in the form that is fastest at inference: same function, other operations.

Each module here holds ``FORMS``, from a block's type to what makes its inference form out of it.
"""
