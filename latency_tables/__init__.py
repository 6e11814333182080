"""What a block costs on a device: tables, stairs, predictions and their error."""
