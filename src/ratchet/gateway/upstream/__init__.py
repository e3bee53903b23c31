"""How providers are reached: connections, circuits, queues, and what their answers mean."""
