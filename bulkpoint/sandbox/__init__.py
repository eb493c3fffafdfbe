"""A strict stand-in for money, with a ledger: a judge that shares no code with the payer."""
