"""The tensor IR: sizes, nodes, programs, and the interpreter that is everyone's oracle."""
