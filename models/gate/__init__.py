"""The gate before the network: whether a picture is one usable hand, and how it lies.

A few plain checks, then a small network of its own, trained with the data at hand and no header.
"""
