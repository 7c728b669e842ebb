"""Houses as files: generating, reading, checking and drawing them."""
