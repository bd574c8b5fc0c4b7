"""What every room says: errors with public codes, encodings with one spelling, ids, times, precedence."""
