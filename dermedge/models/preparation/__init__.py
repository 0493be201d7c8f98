"""What is done to the picture before the image branch, inside the network and the model file."""
