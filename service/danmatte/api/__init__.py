"""The APIs: masks, live streams, V2 (Open Inference Protocol), TensorFlow Serving, gRPC, health, metrics and admin."""
