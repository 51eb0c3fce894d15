"""Small backbones that several rooms and claims share."""
