"""Images: sampling, resizing, boxes and regions. deepcore.functions collects them."""
