"""OpenVINO, TensorFlow, TFLite and NNCF behind a few functions, their errors turned into the workbench's own."""
