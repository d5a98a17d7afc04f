"""Interface pinning: what the runs wrote, chemical potentials, melting points, phase diagrams."""
