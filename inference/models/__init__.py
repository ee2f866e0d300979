"""What the store holds: how models are loaded, kept in memory, adapted and given words."""
