"""Choice of the backend of Keras; it must be made before Keras is imported."""


def choose() -> str:
    """Return "torch" if PyTorch has a GPU, otherwise "tensorflow", which is faster on CPUs."""
    try:
        import torch
    except ImportError:
        return "tensorflow"
    return "torch" if torch.cuda.is_available() else "tensorflow"
