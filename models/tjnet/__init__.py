"""TJ-Net: the network, its preprocessing, its training and its weights."""
