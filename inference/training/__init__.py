"""LoRAs trained on the community's own device: from a folder of pictures to a file that Easel and others load."""
