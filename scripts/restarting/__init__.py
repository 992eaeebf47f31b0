"""Takes the forwarder away, or restarts node after node, and looks at clients and desks."""
