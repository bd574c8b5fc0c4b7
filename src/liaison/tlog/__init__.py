"""A C2SP transparency log: Merkle tree, tiles, signed notes, checkpoints, proofs. No I/O."""
