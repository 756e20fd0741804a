"""The APIs: mattes, live stream, V2 (Open Inference Protocol) over HTTP and gRPC, TensorFlow Serving, health, admin."""
