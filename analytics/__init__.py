"""Remember and measure: the record, its journal, the lake, and what they add up to."""
