"""Steps of derivations: proved by canonical forms, confirmed or refuted by numbers."""
