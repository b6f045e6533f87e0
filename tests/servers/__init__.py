"""Real servers that tests start on loopback, each on a port of its own."""
