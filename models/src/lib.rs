//! What we predict: feature contract, ONNX scorers, manifests.
