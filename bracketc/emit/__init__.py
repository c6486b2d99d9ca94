"""Text in the target languages: formatters make expressions, names and views, templates place them."""
