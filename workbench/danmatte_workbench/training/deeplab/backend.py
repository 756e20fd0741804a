"""Which library Keras trains on; asked before Keras is imported."""


def choose() -> str:
    """PyTorch where it has a GPU; TensorFlow otherwise, which is the faster one on CPUs."""
    try:
        import torch
    except ImportError:
        return "tensorflow"
    return "torch" if torch.cuda.is_available() else "tensorflow"
