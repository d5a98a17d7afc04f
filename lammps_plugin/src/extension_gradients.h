// Gradients that TorchScript extensions lack outside Python.

#ifndef QUORUM_EXTENSION_GRADIENTS_H
#define QUORUM_EXTENSION_GRADIENTS_H

namespace quorum {

// To be called when a model, and with it its extensions, has been loaded; any number of times.
void register_extension_gradients();

}    // namespace quorum

#endif
