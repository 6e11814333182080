"""TensorRT engines: networks written, built, kept and run; the module `tensorrt` is handed in."""
