"""Pure encoders and decoders: what browsers and what nodes say to each other."""
