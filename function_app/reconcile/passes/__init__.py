"""One pass: fast or slow, over one service after another, in turns."""
