"""The ledger: records, the entries that commit to them, openings and receipts. protocols/log.md, part 2.

What joins statements to the log; knows neither SQL nor HTTP.
"""
