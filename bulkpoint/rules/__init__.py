"""Pure decisions: plain values and a clock reading in, plain values out. Standard library only."""
