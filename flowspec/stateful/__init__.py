"""Steps that remember: state under a key, on Bytewax, in the recovery store."""
