"""In what precision numbers are multiplied: the one place that says so, for trainings and for figures."""


def settle_precision() -> None:
    """Have products and convolutions of fp32 numbers computed in fp32, in this process, on every device.

    By itself PyTorch lets cuDNN round the factors of an fp32 convolution to TF32's ten bits: VGG16's features, the
    autoencoder's latents and super-resolved pictures would then depend on the kind of GPU. What is meant to be faster
    is in bf16, as its profile says. Asked again, it does the same again: whoever computes calls it first.
    """
    import torch

    torch.set_float32_matmul_precision("highest")
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
