"""What containers are made of and run by: image, compose file, manifests."""
