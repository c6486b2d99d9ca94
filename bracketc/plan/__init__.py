"""Schedules: contraction order, sharing, fusion, and what forward saves for backward."""
