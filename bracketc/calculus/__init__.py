"""Differentiation: forward and transpose rules, products, Jacobians, Hessians, and the entry points that requests ask for."""
