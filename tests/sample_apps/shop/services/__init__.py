"""What the endpoints have done for them."""
