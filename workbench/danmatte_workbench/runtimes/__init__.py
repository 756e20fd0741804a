"""Wrappers of OpenVINO, TensorFlow, TFLite and NNCF that translate their errors to the workbench's own."""
