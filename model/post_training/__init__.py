"""Post-training quantisation: a float network becomes integers without being trained.

`quantize` calibrates a float torch module on images and gives a network file's `Network`; `read`
takes a module from an ONNX file, a checkpoint or a Python function. `PostTraining` has the options,
`NetworkImages` the images.
"""

from typing import TYPE_CHECKING

from ...hw.lazy import face

if TYPE_CHECKING:
    from .images import NetworkImages
    from .method import PostTraining
    from .quantization import quantize
    from .sources import read

__all__ = ["NetworkImages", "PostTraining", "quantize", "read"]

__getattr__, __dir__ = face(__name__)
