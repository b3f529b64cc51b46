"""The systems of conf/systems: what their YAMLs may say, and how they are read."""
