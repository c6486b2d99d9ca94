"""The version of bracketc, as generated modules quote it."""

VERSION = "0.1.0"
