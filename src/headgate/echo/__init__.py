"""The two upstreams of the walk-throughs, rebuilt: an echo server and a clock, both of which stream events."""
