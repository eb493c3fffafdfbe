"""Files that people bring: lists of targets and settlement files, checked row by row, and their digests."""
