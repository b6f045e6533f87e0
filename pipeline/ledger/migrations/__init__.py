"""How the schema came to be, one file per change; Alembic runs them in order."""
