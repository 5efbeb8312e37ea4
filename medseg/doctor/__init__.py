"""What the command ``doctor`` looks at; nothing is imported here, for a library may be broken."""
