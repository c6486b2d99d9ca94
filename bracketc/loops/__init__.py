"""The loop IR: every step as loops over addresses, register-tiled contractions, and one arena."""
