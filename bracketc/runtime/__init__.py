"""From text to a module that runs: folders written at once, C builds, their cache, loading."""
