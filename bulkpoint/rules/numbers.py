"""The greatest number that ids, row numbers and sums of points may be: PostgreSQL's bigint.

As a campaign's id it is above every one there is: that of a list that no campaign has yet.
"""

BIGINT_MAX = 2**63 - 1
