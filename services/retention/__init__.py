"""What is forgotten, when, and who has to agree: chores for janitors. The policy is a table in DESIGN.md.

Of an order, the order service knows whether it has ended, and the orchestrator forgets it some days after
that; a participant forgets what the orchestrator does not know any more. So nobody forgets what an order
that has not ended needs, however old it is.
"""
