"""From text to syntax tree, and from syntax tree to `Program`."""
