-- The rows of money_transaction as m that the index money_transaction_folded has.
     and (m.transaction_id <> lower(m.transaction_id) and m.transaction_id <> upper(m.transaction_id)
          or octet_length(m.transaction_id) <> length(m.transaction_id))
