"""What every room says: errors with codes, encodings with one spelling, ids, times, precedence."""
