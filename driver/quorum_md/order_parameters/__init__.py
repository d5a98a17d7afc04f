"""Order parameters and biases in PLUMED's input language, by a native backend or PLUMED itself."""
