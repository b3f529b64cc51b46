"""An audit of a set's recordings: what each sounds like in figures, what is wrong with it, and a page about that."""
