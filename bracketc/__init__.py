"""bracketc compiles derivations to optimised kernels."""
