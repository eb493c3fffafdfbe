"""A strict stand-in for the money API, with a ledger: a judge that shares no code with the payer."""
