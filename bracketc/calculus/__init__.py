"""Differentiation: forward and transpose rules, products, Jacobians, and the functions that requests ask for."""
